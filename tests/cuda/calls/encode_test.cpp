// These tests read what the driver is told of heads, for Hopper's copy engine, and by which call it is asked: one text
// serves all versions of CUDA, compiled here both ways.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/hopper/tensor_map.h"
#include "driver.h"
#include "error_words.h"
#include "longstride/error.h"

namespace longstride::cuda {

// encode, as a version of CUDA before 12.5 compiles it (cmake/tests.cmake).
TensorMap encode_asked_by_name(const Heads& x, const TensorShape& shape, const TensorOrder& order, int rows);

namespace {

using tests::driver;
using tests::ToldMap;

// Three heads of 40 channels, those of a position side by side in rows of `pitch` elements.
constexpr std::int64_t kB = 2, kT = 10, kH = 3, kD = 40, kPitch = 136;
alignas(16) std::uint16_t memory[kB * kT * kPitch];
Heads some_heads() {
  Heads x;
  x.data = memory, x.type = DType::bfloat16;
  x.B = kB, x.T = kT, x.H = kH, x.D = kD;
  x.batch_stride = kT * kPitch, x.row_stride = kPitch, x.head_stride = kD;
  return x;
}

ToldMap told(const TensorMap& map) {
  ToldMap of;
  std::memcpy(&of, map.words, sizeof(of));
  return of;
}
template <class T, std::size_t kCount>
std::vector<T> all(const T (&x)[kCount]) {
  return {x, x + kCount};
}

void expect_told(const TensorMap& map, std::uint32_t positions) {
  const ToldMap of = told(map);
  EXPECT_EQ(of.data, memory);
  EXPECT_EQ(all(of.extents), (std::vector<std::uint64_t>{kD, kH, kT, kB}));
  EXPECT_EQ(all(of.strides_bytes), (std::vector<std::uint64_t>{2 * kD, 2 * kPitch, 2 * kT * kPitch}));
  EXPECT_EQ(all(of.box), (std::vector<std::uint32_t>{kBoxChannels, 1, positions, 1}));
}

TEST(EncodeCalls, TellTheDriverOfHeadsAndBoxes) {
  const HeadsMap map = map_of(some_heads());
  expect_told(map.one, 1);
  expect_told(map.neighbours, kNeighbours);
  EXPECT_EQ(map.order.head, 1);
  EXPECT_EQ(map.order.position, 2);
  EXPECT_EQ(map.positions, kT);
}

TEST(EncodeCalls, AreTheSameInEveryVersionOfCuda) {
  TensorOrder order;
  const TensorShape shape = shape_of(some_heads(), order);
  expect_told(encode_asked_by_name(some_heads(), shape, order, 5), 5);
  expect_told(encode(some_heads(), shape, order, 5), 5);
}

TEST(EncodeCalls, SayWhatTheDriverDoesNotTake) {
  driver().answer = CUDA_ERROR_INVALID_VALUE;
  EXPECT_EQ(words_of_error(ErrorKind::unavailable, [] { map_of(some_heads()); }),
            "cuda: the driver does not take a map of attention's operands (status 1)");
  driver().answer = CUDA_SUCCESS;
}

// The function is asked for once a process, so that these are processes of their own.
template <class Call>
[[noreturn]] void say_how_it_ends(bool has_function, const Call& call) {
  driver().has_function = has_function;
  try {
    call();
    std::fprintf(stderr, "asked %s", driver().asked.c_str());
  } catch (const Error& error) {
    std::fprintf(stderr, "%s", error.what());
  }
  std::exit(0);
}

TEST(EncodeCalls, AskForTheFunctionAsTheVersionOfCudaDoes) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  TensorOrder order;
  const TensorShape shape = shape_of(some_heads(), order);
  const auto by_name = [&] { encode_asked_by_name(some_heads(), shape, order, 1); };
  const auto as_built = [&] { encode(some_heads(), shape, order, 1); };
  EXPECT_EXIT(say_how_it_ends(true, by_name), testing::ExitedWithCode(0), "asked by name");
  EXPECT_EXIT(say_how_it_ends(true, as_built), testing::ExitedWithCode(0),
              CUDART_VERSION >= 12050 ? "asked by version" : "asked by name");
  const char* const missing = "cuda: the driver has no function for tensor maps; a newer driver has";
  EXPECT_EXIT(say_how_it_ends(false, by_name), testing::ExitedWithCode(0), missing);
  EXPECT_EXIT(say_how_it_ends(false, as_built), testing::ExitedWithCode(0), missing);
}

}  // namespace
}  // namespace longstride::cuda
