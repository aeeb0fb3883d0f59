// Which instruction set is used: that LONGSTRIDE_ISA is obeyed, and what it refuses. The choice is made once a process,
// so the test starts itself again with the variable set.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cpu/isa.h"
#include "cpu/linear_kernels.h"
#include "longstride/device.h"
#include "longstride/error.h"

namespace longstride::cpu {
namespace {

int lanes_of(Isa isa) { return isa == Isa::scalar ? 1 : isa == Isa::avx2 ? 8 : 16; }

// In the process that is started: what runs, seen from the kernels themselves.
TEST(Isa, DISABLED_SaysWhatRuns) {
  try {
    const Isa one = isa();
    const LinearKernels& kernels = linear_kernels();
    std::printf("runs %s lanes %d native %d info %s\n", to_string(one), kernels.lanes, kernels.native_bf16 ? 1 : 0,
                machine_info().instruction_set.c_str());
  } catch (const Error& error) {
    std::printf("error %d %s\n", static_cast<int>(error.kind()), error.what());
  }
}

std::string output_with(const std::string& variable) {
  const std::string command = variable + " /proc/" + std::to_string(getpid()) +
                              "/exe --gtest_also_run_disabled_tests --gtest_filter=Isa.DISABLED_SaysWhatRuns";
  std::FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), static_cast<int>(line.size()), pipe) != nullptr) output += line.data();
  EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 0);
  return output;
}

TEST(Isa, ForcedByTheEnvironmentIsTheOneThatRuns) {
  for (const Isa one : usable_isas()) {
    const std::string want = std::string("runs ") + to_string(one) + " lanes " + std::to_string(lanes_of(one)) +
                             " native " + (one == Isa::avx512_bf16 ? "1" : "0") + " info " + to_string(one) + "\n";
    const std::string output = output_with(std::string("LONGSTRIDE_ISA=") + to_string(one));
    EXPECT_NE(output.find(want), std::string::npos) << output;
  }
}

TEST(Isa, IsTheBestOfTheMachineWhereNothingIsSaid) {
  const std::string want = std::string("runs ") + to_string(usable_isas().back());
  for (const char* variable : {"env -u LONGSTRIDE_ISA", "LONGSTRIDE_ISA="}) {
    const std::string output = output_with(variable);
    EXPECT_NE(output.find(want), std::string::npos) << output;
  }
}

TEST(Isa, RefusesANameThatIsNone) {
  const std::string output = output_with("LONGSTRIDE_ISA=avx9");
  EXPECT_NE(output.find("error 0 LONGSTRIDE_ISA: needs one of scalar, avx2, avx512, avx512_bf16, got \"avx9\""),
            std::string::npos)
      << output;
}

TEST(Isa, RefusesOneThatTheMachineLacks) {
  if (usable_isas().back() == Isa::avx512_bf16) GTEST_SKIP() << "this machine lacks none";
  try {
    force_isa(Isa::avx512_bf16);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unavailable);
    EXPECT_NE(std::string(error.what()).find("cannot run avx512_bf16"), std::string::npos);
  }
}

TEST(Isa, ForceChangesTheKernels) {
  const Isa before = isa();
  for (const Isa one : usable_isas()) {
    force_isa(one);
    EXPECT_EQ(linear_kernels().lanes, lanes_of(one));
    EXPECT_EQ(machine_info().instruction_set, to_string(one));
  }
  force_isa(before);
}

}  // namespace
}  // namespace longstride::cpu
