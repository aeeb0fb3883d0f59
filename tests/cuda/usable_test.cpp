// These tests read the words of a machine that lacks what cards need.
#include "cuda/usable.h"

#include <gtest/gtest.h>

#include "error_words.h"
#include "longstride/device.h"
#include "ops/backend.h"

namespace longstride::cuda {
namespace {

Found machine() { return {12080, 12040, "", {{"NVIDIA H200", 9, 0, 150'754'820'096}}}; }

TEST(Usable, IsACardOfTheFirstGenerationWithBfloat16OrALaterOne) {
  EXPECT_EQ(why_unusable(machine()), "");
  Found of = machine();
  of.cards[0].major = 8;
  EXPECT_EQ(why_unusable(of), "");
  of.cards[0] = {"Tesla T4", 7, 5, 15'000'000'000};
  EXPECT_EQ(why_unusable(of), "the card Tesla T4 has compute capability 7.5, and at least 8.0 is needed");
}

TEST(Usable, NeedsADriverOfTheBuildsMajorVersion) {
  Found of = machine();
  of.driver_version = 12000;  // an earlier minor version
  EXPECT_EQ(why_unusable(of), "");
  of.driver_version = 11080;
  EXPECT_EQ(why_unusable(of), "the NVIDIA driver knows CUDA 11.8, and this build was made with 12.4");
  of.cards.clear(), of.driver_version = 0;
  EXPECT_EQ(why_unusable(of), "no NVIDIA driver was found");
}

TEST(Usable, NeedsACardThatStarts) {
  Found of = machine();
  of.cards.clear();
  EXPECT_EQ(why_unusable(of), "no NVIDIA card was found");
  of.failure = "system has unsupported display driver / cuda driver combination";
  EXPECT_EQ(why_unusable(of), "CUDA did not start (system has unsupported display driver / cuda driver combination)");
}

TEST(Usable, IsAskedOfEachCardByItsNumber) {
  Found of = machine();
  EXPECT_EQ(words_of(of), "CUDA 12.4; NVIDIA H200 (150.8 GB)");
  of.cards.push_back({"Tesla T4", 7, 5, 15'000'000'000});
  const std::string old = "the card Tesla T4 has compute capability 7.5, and at least 8.0 is needed";
  EXPECT_EQ(why_unusable(of, 0), "");
  EXPECT_EQ(why_unusable(of, 1), old);
  EXPECT_EQ(why_unusable(of, 2), "there is no NVIDIA card of number 2");
  EXPECT_EQ(words_of(of), "CUDA 12.4; cuda:0 NVIDIA H200 (150.8 GB), cuda:1 Tesla T4 (15.0 GB, not used: " + old + ")");
  const std::vector<CardInfo> cards = cards_of(of);
  ASSERT_EQ(cards.size(), 2u);
  EXPECT_EQ(cards[0].capability, "9.0");
  EXPECT_EQ(cards[0].memory_bytes, 150'754'820'096);
  EXPECT_EQ(cards[0].why_not, "");
  EXPECT_EQ(cards[1].why_not, old);
  of.cards.clear();
  EXPECT_EQ(words_of(of), "CUDA 12.4; no NVIDIA card was found");
}

TEST(Usable, ACardIsNamedByItsNumber) {
  EXPECT_EQ(make_backend(*read_device("cuda:1"))->facts().name, cards()[1].name);
  EXPECT_EQ(make_backend(*read_device("cuda"))->facts().name, cards()[0].name);
  EXPECT_EQ(words_of_error(ErrorKind::invalid_argument, [] { make_backend(*read_device("cuda:2")); }),
            "device: needs a card that this process is shown, cuda:0 to cuda:1, got cuda:2");
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
