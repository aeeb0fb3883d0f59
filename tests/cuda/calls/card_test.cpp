// These tests run cuda/card.cpp against a runtime that answers as its documentation says, or fails when it is told to.
#include "cuda/card.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cuda/status.h"
#include "error_words.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"
#include "runtime.h"

namespace longstride::cuda {
namespace {

using tests::begin_runtime;
using tests::Runtime;
using tests::runtime;

std::string refused() {
  return words_of_error(ErrorKind::unavailable, [] { Card{}; });
}
int count(const std::string& call) {
  return static_cast<int>(std::count(runtime().calls.begin(), runtime().calls.end(), call));
}

TEST(CardCalls, AMachineThatCannotBeUsedSaysWhy) {
  Runtime& told = begin_runtime();
  told.driver_version = 0;
  EXPECT_EQ(refused(), "cuda: no NVIDIA driver was found");
  told.driver_version = CUDART_VERSION - 1000;
  EXPECT_NE(refused().find("the NVIDIA driver knows CUDA"), std::string::npos) << refused();
  told.driver_version = CUDART_VERSION;
  told.cards.clear();
  EXPECT_EQ(refused(), "cuda: no NVIDIA card was found");
  told.cards = {{"Tesla T4", 7, 5, std::int64_t{15} << 30}};
  EXPECT_EQ(refused(), "cuda: the card Tesla T4 has compute capability 7.5, and at least 8.0 is needed");
  EXPECT_NE(card_words().find("; Tesla T4 (16.1 GB, not used: the card"), std::string::npos) << card_words();
  told.failing["cudaGetDeviceCount"] = cudaErrorSystemDriverMismatch;
  EXPECT_EQ(refused(), "cuda: CUDA did not start (system has unsupported display driver / cuda driver combination)");
  EXPECT_EQ(told.streams, 0);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "what failed was said";
}

TEST(CardCalls, ACardThatIsUsedByOthersSaysWhatIsFree) {
  Runtime& told = begin_runtime();
  told.cards[0].taken_bytes = told.cards[0].memory_bytes - 100'000'000;
  EXPECT_EQ(words_of_error(ErrorKind::exhausted, [] { Card{}; }),
            "cuda: needs 256 MB of the card's memory to begin with, 100 MB are free");
  EXPECT_EQ(told.streams, 0);
}

TEST(CardCalls, TheFactsAreTheCards) {
  Runtime& told = begin_runtime();
  told.cards[0].taken_bytes = 3;
  const Card card;
  EXPECT_EQ(card.facts().name, "NVIDIA H200");
  EXPECT_EQ(card.facts().memory_bytes, std::int64_t{140} << 30);
  EXPECT_EQ(card.facts().memory_available_bytes, (std::int64_t{140} << 30) - 3);
  EXPECT_EQ(why_no_cuda(), "");
}

TEST(CardCalls, EverythingIsGivenBack) {
  const Runtime& told = begin_runtime();
  {
    Card card;
    void* const memory = card.allocate(1000);
    EXPECT_EQ(card.allocate(0), nullptr);
    EXPECT_EQ(told.allocations, 1);
    EXPECT_EQ(told.cards[0].taken_bytes, 1000);
    card.time_s([&] { card.zero(memory, 1000); });
    card.release(memory);
    card.release(nullptr);
  }
  EXPECT_EQ(told.allocations, 0);
  EXPECT_EQ(told.streams, 0);
  EXPECT_EQ(told.events, 0);
}

TEST(CardCalls, MemoryThatIsNotThereIsOneSentence) {
  Runtime& told = begin_runtime();
  Card card;
  told.cards[0].taken_bytes = told.cards[0].memory_bytes - 512;
  EXPECT_EQ(words_of_error(ErrorKind::exhausted, [&] { card.allocate(513); }),
            "cuda: needs 513 more bytes of the card's memory, 512 are free");
  EXPECT_EQ(words_of_error(ErrorKind::exhausted, [&] { card.allocate(-5); }).substr(0, 15), "cuda: needs -5 ");
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "the next launch would be blamed for it";
  card.release(card.allocate(512));
  EXPECT_EQ(told.allocations, 0);
}

TEST(CardCalls, BytesGoInTheOrderThatTheyWereAskedFor) {
  begin_runtime();
  Card card;
  auto* const memory = static_cast<float*>(card.allocate(64));
  auto* const other = static_cast<float*>(card.allocate(64));
  std::vector<float> sent = {1, 2, 3, 4}, back(4), nothing(4);
  card.download(nothing.data(), memory, 16);
  EXPECT_TRUE(std::isnan(nothing[0])) << "memory begins as anything";
  card.upload(memory, sent.data(), 16);
  sent.assign(4, -1);  // upload has read it
  card.copy(other, memory, 16);
  card.zero(memory, 8);
  card.copy(other + 2, memory, 8);
  card.download(back.data(), other, 16);
  EXPECT_EQ(back, (std::vector<float>{1, 2, 0, 0})) << "download has written it";
  card.download(back.data(), memory, 16);
  EXPECT_EQ(back, (std::vector<float>{0, 0, 3, 4}));
  card.upload(memory, sent.data(), 0), card.copy(other, memory, 0), card.zero(memory, 0);
  card.download(back.data(), memory, 0);
  card.release(memory), card.release(other);
}

TEST(CardCalls, MemoryIsGivenBackWhenWhatUsesItIsDone) {
  begin_runtime();
  Card card;
  void *const from = card.allocate(16), *const to = card.allocate(16);
  const float sent = 5;
  float back = 0;
  card.upload(from, &sent, 4);
  card.copy(to, from, 4);
  card.release(from);
  card.download(&back, to, 4);
  EXPECT_EQ(back, 5);
  card.release(to);
}

TEST(CardCalls, TimeIsThatOfTheWorkAlone) {
  begin_runtime();
  Card card;
  void* const memory = card.allocate(16);
  card.zero(memory, 16);
  const double taken_s = card.time_s([&] { card.zero(memory, 16), card.zero(memory, 8), card.zero(memory, 4); });
  EXPECT_NEAR(taken_s, 0.003, 1e-9);  // a millisecond each
  card.release(memory);
}

TEST(CardCalls, RecordedWorkIsDoneWhenItIsReplayedAndAsOften) {
  const Runtime& told = begin_runtime();
  Card card;
  auto* const memory = static_cast<float*>(card.allocate(16));
  const std::vector<float> one = {1, 2, 3, 4};
  std::vector<float> back(4);
  const auto now = [&] {
    card.download(back.data(), memory, 16);
    return back;
  };
  card.upload(memory, one.data(), 16);
  std::unique_ptr<Recorded> recorded = card.record([&] {
    card.copy(memory, memory + 1, 8);
    card.zero(memory + 3, 4);
  });
  EXPECT_EQ(now(), one) << "nothing is done when it is recorded";
  card.replay(*recorded);
  EXPECT_EQ(now(), (std::vector<float>{2, 3, 3, 0}));
  card.replay(*recorded);
  card.replay(*recorded);
  EXPECT_EQ(now(), (std::vector<float>{3, 3, 3, 0}));
  card.upload(memory, one.data(), 16);
  card.replay(*recorded);
  recorded.reset();  // while it is at work
  EXPECT_EQ(now(), (std::vector<float>{2, 3, 3, 0}));
  card.release(memory);
  EXPECT_EQ(told.graphs, 0);
}

TEST(CardCalls, WhatCannotBeRecordedIsAnErrorAndTheStreamGoesOn) {
  Runtime& told = begin_runtime();
  Card card;
  auto* const memory = static_cast<float*>(card.allocate(16));
  float host = 7;
  const auto words = [&](const std::function<void()>& work) {
    return words_of_error(ErrorKind::unavailable, [&] { card.record(work); });
  };
  EXPECT_EQ(words([&] { card.wait(); }), "cuda: work on the card failed: another error");
  EXPECT_EQ(words([&] { card.upload(memory, &host, 4); }), "cuda: an upload cannot be recorded");
  EXPECT_EQ(words([&] { card.download(&host, memory, 4); }), "cuda: a download cannot be recorded");
  EXPECT_EQ(words([&] { throw Error(ErrorKind::unavailable, "cuda: a product failed"); }), "cuda: a product failed");
  for (const char* call : {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"}) {
    told.failing = {{call, cudaErrorIllegalAddress}};
    EXPECT_EQ(words([&] { card.zero(memory, 4); }),
              "cuda: a recording failed: an illegal memory access was encountered");
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << call;
  }
  told.failing = {};
  const std::unique_ptr<Recorded> recorded = card.record([&] { card.zero(memory, 4); });
  told.failing = {{"cudaGraphLaunch", cudaErrorIllegalAddress}};
  EXPECT_EQ(words_of_error(ErrorKind::unavailable, [&] { card.replay(*recorded); }),
            "cuda: recorded work failed: an illegal memory access was encountered");
  told.failing = {};
  card.upload(memory, &host, 4);
  host = 0;
  card.download(&host, memory, 4);
  EXPECT_EQ(host, 7);
  EXPECT_EQ(told.graphs, 1) << "what was recorded in vain is gone";
  card.release(memory);
}

TEST(CardCalls, ACardIsChosenByItsNumberInEveryThread) {
  Runtime& told = begin_runtime();
  told.cards.push_back({"NVIDIA L40S", 8, 9, std::int64_t{48} << 30});
  EXPECT_EQ(words_of_error(ErrorKind::unavailable, [] { Card(2); }), "cuda: there is no NVIDIA card of number 2");
  Card second(1), first(0);
  EXPECT_EQ(second.facts().name, "NVIDIA L40S");
  EXPECT_EQ(second.facts().memory_bytes, std::int64_t{48} << 30);
  std::thread([&] {  // which the runtime's calls are about the first card on
    void* const memory = second.allocate(1000);
    EXPECT_EQ(told.cards[0].taken_bytes, 0);
    EXPECT_EQ(told.cards[1].taken_bytes, 1000);
    second.zero(memory, 1000);
    EXPECT_NEAR(second.time_s([&] { second.zero(memory, 8); }), 0.001, 1e-9);
    second.release(memory);
    EXPECT_EQ(second.facts().memory_bytes, std::int64_t{48} << 30);
    cudaSetDevice(0);
    second.use();
    int now = -1;
    EXPECT_EQ(cudaGetDevice(&now), cudaSuccess);
    EXPECT_EQ(now, 1);
  })
      .join();
  EXPECT_EQ(first.facts().name, "NVIDIA H200");
  EXPECT_EQ(card_words().substr(card_words().find(';')),
            "; cuda:0 NVIDIA H200 (150.3 GB), cuda:1 NVIDIA L40S (51.5 GB)");
  ASSERT_EQ(cards().size(), 2u);
  EXPECT_EQ(cards()[1].capability, "8.9");
  EXPECT_EQ(cards()[1].id, "GPU-a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1");
}

// Each call that can fail, what asks for it, and the words for it.
TEST(CardCalls, AnErrorNamesWhatFailed) {
  Runtime& told = begin_runtime();
  Card card;
  void* const memory = card.allocate(16);
  float host = 0;
  struct Case {
    const char* call;
    std::function<void()> ask;
    std::string words;
  };
  const auto time = [&] { card.time_s([] {}); };
  const std::vector<Case> cases = {
      {"cudaStreamCreateWithFlags", [] { Card{}; }, "a stream"},
      {"cudaSetDevice", [] { Card{}; }, "the start of the card"},
      {"cudaSetDevice", [&] { card.use(); }, "the choice of the card"},
      {"cudaMalloc", [&] { card.allocate(1); }, "memory of the card"},
      {"cudaMemcpyAsync", [&] { card.upload(memory, &host, 4); }, "an upload"},
      {"cudaMemcpyAsync", [&] { card.download(&host, memory, 4); }, "a download"},
      {"cudaMemcpyAsync", [&] { card.copy(memory, memory, 4); }, "a copy"},
      {"cudaMemsetAsync", [&] { card.zero(memory, 4); }, "a clearing of memory"},
      {"cudaStreamSynchronize", [&] { card.wait(); }, "work on the card"},
      {"cudaStreamSynchronize", [&] { card.download(&host, memory, 4); }, "work on the card"},
      {"cudaMemGetInfo", [&] { card.facts(); }, "a look at the card's memory"},
      {"cudaEventCreate", time, "an event"},
      {"cudaEventRecord", time, "an event"},
      {"cudaEventSynchronize", time, "work on the card"},
      {"cudaEventElapsedTime", time, "an event"}};
  for (const Case& one : cases) {
    told.failing = {{one.call, cudaErrorIllegalAddress}};
    EXPECT_EQ(words_of_error(ErrorKind::unavailable, one.ask),
              "cuda: " + one.words + " failed: an illegal memory access was encountered")
        << one.call;
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << one.call << ": the next call would be blamed for it";
    EXPECT_GT(count(one.call), 0);
  }
  told.failing = {{"cudaEventRecord", cudaErrorMemoryAllocation}};
  EXPECT_EQ(words_of_error(ErrorKind::exhausted, time), "cuda: an event failed: out of memory");
  told.failing = {};
  EXPECT_EQ(told.events, 0) << "what was made before the failure is given back";
  card.release(memory);
}

}  // namespace
}  // namespace longstride::cuda
