// This makes the device a parameter of the tests of operations: LONGSTRIDE_DEVICE_TESTS(NormOperation) makes a fixture
// of that name, and each of its tests (TEST_P) is asked of every device. Tests hold operands in the host's memory;
// what they compare with ops/definitions.h went to the device and came back (ops/device_twin.h).
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cpu/every_isa.h"
#include "host_matrix.h"
#include "longstride/error.h"
#include "ops/device_twin.h"

namespace longstride::tests {

// Of the program that these tests are linked into: devices.cpp of tests/ops and of tests/cuda.
std::vector<Device> devices_under_test();

class OnDevice : public ::testing::TestWithParam<Device> {
 protected:
  // A build or a machine that lacks the device says so aloud.
  void SetUp() override {
    try {
      backend_ = make_backend(GetParam());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unavailable) throw;
      std::printf("SKIPPED: %s\n", error.what());
      GTEST_SKIP() << error.what();
    }
  }
  Backend& backend() { return *backend_; }

  // Operands lie in the host's memory; what the operations write is there afterwards.
  void run(std::vector<Operation> operations, const StepInputs& inputs = {}) {
    EXPECT_EQ(DeviceTwin(backend(), std::move(operations)).run(inputs), "");
  }
  void run(Operation operation, const StepInputs& inputs = {}) {
    run(std::vector<Operation>{std::move(operation)}, inputs);
  }

  // The ways in which a device may compute the same: a processor's instruction sets; one, without a name, elsewhere.
  void every_way(const std::function<void(const std::string& name)>& body) {
    if (GetParam() == Device::cpu) return for_every_isa(body);
    body("");
  }

 private:
  std::unique_ptr<Backend> backend_;
};

struct WordOfDevice {
  std::string operator()(const ::testing::TestParamInfo<Device>& info) const {
    return info.param == Device::cpu ? "cpu" : "cuda";
  }
};

#define LONGSTRIDE_ON_EVERY_DEVICE(Fixture) \
  INSTANTIATE_TEST_SUITE_P(EveryDevice, Fixture, ::testing::ValuesIn(devices_under_test()), WordOfDevice())
#define LONGSTRIDE_DEVICE_TESTS(Fixture) \
  class Fixture : public OnDevice {};    \
  LONGSTRIDE_ON_EVERY_DEVICE(Fixture)

}  // namespace longstride::tests
