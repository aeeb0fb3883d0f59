// These tests read the words of a machine that lacks what cards need.
#include "cuda/usable.h"

#include <gtest/gtest.h>

#include "error_words.h"
#include "longstride/device.h"
#include "ops/backend.h"

namespace longstride::cuda {
namespace {

Found machine() { return {12080, 12040, "", 1, "NVIDIA H200", 9, 0}; }

TEST(Usable, IsACardOfTheFirstGenerationWithBfloat16OrALaterOne) {
  EXPECT_EQ(why_unusable(machine()), "");
  Found of = machine();
  of.major = 8;
  EXPECT_EQ(why_unusable(of), "");
  of.name = "Tesla T4", of.major = 7, of.minor = 5;
  EXPECT_EQ(why_unusable(of), "the card Tesla T4 has compute capability 7.5, and at least 8.0 is needed");
}

TEST(Usable, NeedsADriverOfTheBuildsMajorVersion) {
  Found of = machine();
  of.driver_version = 12000;  // an earlier minor version
  EXPECT_EQ(why_unusable(of), "");
  of.driver_version = 11080;
  EXPECT_EQ(why_unusable(of), "the NVIDIA driver knows CUDA 11.8, and this build was made with 12.4");
  of.cards = 0, of.driver_version = 0;
  EXPECT_EQ(why_unusable(of), "no NVIDIA driver was found");
}

TEST(Usable, NeedsACardThatStarts) {
  Found of = machine();
  of.cards = 0;
  EXPECT_EQ(why_unusable(of), "no NVIDIA card was found");
  of.failure = "system has unsupported display driver / cuda driver combination";
  EXPECT_EQ(why_unusable(of),
            "CUDA did not start (system has unsupported display driver / cuda driver combination)");
}

TEST(Usable, NeedsSomeMemoryToBeginWith) {
  require_memory_to_begin(256'000'000);
  EXPECT_EQ(words_of_error(ErrorKind::exhausted, [] { require_memory_to_begin(255'999'999); }),
            "cuda: needs 256 MB of the card's memory to begin with, 255 MB are free");
}

TEST(Usable, ACardIsTakenWhereNothingElseIsAskedFor) {
  EXPECT_EQ(make_backend(Device::automatic)->facts().device, "cuda");
  EXPECT_EQ(make_backend(Device::cuda)->facts().device, "cuda");
  EXPECT_EQ(make_backend(Device::cpu)->facts().device, "cpu");
  EXPECT_FALSE(card_words().empty());
}

TEST(Usable, ProductsAreMeasuredOnce) {
  const auto backend = make_backend(Device::cuda);
  for (const DType type : {DType::float32, DType::bfloat16}) {
    const double rate = backend->product_rate(type);
    EXPECT_GT(rate, 0);
    EXPECT_EQ(rate, backend->product_rate(type));
  }
  EXPECT_EQ(backend->bfloat16_over_float32(),
            backend->product_rate(DType::bfloat16) / backend->product_rate(DType::float32));
}

}  // namespace
}  // namespace longstride::cuda
