// The machine's description, threads, and the backend's memory.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "cpu/workspace.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride::tests {

using namespace cpu;
namespace {

TEST(Machine, IsDescribed) {
  const MachineInfo info = machine_info();
  EXPECT_FALSE(info.processor.empty());
  ASSERT_FALSE(info.instruction_sets.empty());
  EXPECT_EQ(info.instruction_sets.front(), "scalar");
  EXPECT_GE(info.threads, 1);
  EXPECT_GT(info.memory_available_bytes, 0);
  EXPECT_GT(info.memory_bytes, info.memory_available_bytes);
  ASSERT_FALSE(info.libraries.empty());
  EXPECT_TRUE(info.libraries[0].starts_with("oneDNN ")) << info.libraries[0];
}

TEST(Machine, UsesAsManyThreadsAsItIsTold) {
  set_threads(3);
  EXPECT_EQ(machine_info().threads, 3);
  set_threads(0);
  EXPECT_GE(machine_info().threads, 1);
  try {
    set_threads(-1);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "set_threads: needs a whole number in [0, 4096], got -1");
  }
}

TEST(Machine, MeasuresItsPeak) {
  EXPECT_GT(measure_peak_multiply_adds(false), 1e8);
  EXPECT_GT(measure_peak_multiply_adds(true), 1e8);  // float32's where there is no native bfloat16
}

TEST(Machine, CountsResidentMemory) {
  const auto backend = make_backend(Device::cpu);
  const std::int64_t bytes = std::int64_t{64} << 20;
  void* memory = backend->allocate(bytes);
  backend->zero(memory, bytes);
  EXPECT_GE(resident_bytes(), bytes * 9 / 10);  // written, so it is there; the system may have reclaimed a little
  EXPECT_GE(peak_resident_bytes(), resident_bytes() - (1 << 20));
  backend->release(memory);
}

TEST(Backend, HasItsMemoryReadInPlace) {
  const auto backend = make_backend(Device::cpu);
  void* memory = backend->allocate(8);
  std::vector<std::byte> staging;
  EXPECT_EQ(backend->readable(memory, 8, staging), memory);
  EXPECT_TRUE(staging.empty());
  backend->release(memory);
}

TEST(Backend, SaysHowMuchMemoryThereWasNot) {
  const auto backend = make_backend(Device::cpu);
  try {
    backend->release(backend->allocate(std::int64_t{1} << 60));
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::exhausted);
    const std::string words = error.what();
    EXPECT_EQ(words.rfind("cpu: needs 1152921504606846976 bytes of memory, ", 0), 0u) << words;
    EXPECT_NE(words.find(" are free"), std::string::npos) << words;
  }
}

// The system would promise it all the same.
TEST(Backend, TakesNoMoreThanIsFree) {
  const auto backend = make_backend(Device::cpu);
  const Facts facts = backend->facts();
  EXPECT_THROW(backend->release(backend->allocate((facts.memory_available_bytes + facts.memory_bytes) / 2)), Error);
}

TEST(Workspace, HandsOutAlignedMemoryAndTakesItBack) {
  Workspace workspace;
  workspace.reserve(4096);
  void* first = nullptr;
  {
    const Workspace::Scope scope(workspace);
    first = workspace.take(100);
    void* second = workspace.take(100);
    EXPECT_EQ(static_cast<char*>(second) - static_cast<char*>(first), 128);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 64, 0u);
    const Workspace::Scope inner(workspace);
    EXPECT_EQ(static_cast<char*>(workspace.take(1)) - static_cast<char*>(first), 256);
  }
  const Workspace::Scope scope(workspace);
  EXPECT_EQ(workspace.take(1), first);
}

TEST(Workspace, GrowsOnceToWhatWasTaken) {
  Workspace workspace;
  workspace.reserve(128);
  {
    const Workspace::Scope scope(workspace);
    std::memset(workspace.take(100), 1, 100);
    std::memset(workspace.take(100000), 2, 100000);
    const Workspace::Scope inner(workspace);
    std::memset(workspace.take(5000), 3, 5000);
  }
  EXPECT_GE(workspace.reserved_bytes(), 128 + 100032 + 5056);
  const std::int64_t grown = workspace.reserved_bytes();
  {
    const Workspace::Scope scope(workspace);
    workspace.take(100000);
  }
  EXPECT_EQ(workspace.reserved_bytes(), grown);
}

}  // namespace
}  // namespace longstride::tests
