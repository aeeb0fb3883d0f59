// libFuzzer's way into a program that has one target.
#include "fuzz/harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace longstride::fuzz;
  run(targets().front(), {data, size});
  return 0;
}
