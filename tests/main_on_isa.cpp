// Runs the tests of a room that computes, or skips them all where LONGSTRIDE_ISA names a set that this machine lacks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cpu/isa.h"

namespace {

constexpr int kSkipped = 77;  // cmake/tests.cmake tells ctest

bool lacks(const std::string& isa) {
  if (isa != "avx2" && isa != "avx512" && isa != "avx512_bf16") return false;  // a wrong name is for the tests to meet
  const auto usable = longstride::cpu::usable_isas();
  return std::none_of(usable.begin(), usable.end(), [&](auto one) { return isa == to_string(one); });
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const char* isa = std::getenv("LONGSTRIDE_ISA");
  if (isa != nullptr && lacks(isa)) {
    std::printf("skipped: this machine lacks %s\n", isa);
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}
