// These tests let the carrier of cards' memory ask an NCCL that has no cards: what it asks for, in which order, and
// what becomes of it where something fails. Ranks take turns on one thread.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/card.h"
#include "cuda/nccl_carrier.h"
#include "error_words.h"
#include "nccl_ranks.h"
#include "runtime.h"

namespace longstride::cuda {
namespace {

using Piece = Carrier::Piece;

// A world whose ranks call one after the other: what rank 0 has for the others waits until they ask.
class TurnsWorld final : public World {
 public:
  TurnsWorld(int rank, int size, std::string& board) : rank_(rank), size_(size), board_(board) {}
  std::string lost;  // a sentence: a process has been lost
  int looks = 0;     // whether one has
  int looks_until_lost = 0;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    if (rank_ == 0) board_.assign(static_cast<const char*>(sends[1].data), static_cast<std::size_t>(sends[1].bytes));
    if (rank_ != 0) board_.copy(static_cast<char*>(receives[0].data), board_.size());
    return 0;
  }
  void finish(Ticket) override {}
  void require_all() override {
    if (!lost.empty() && ++looks > looks_until_lost) throw Error(ErrorKind::unavailable, lost);
  }

 private:
  int rank_, size_;
  std::string& board_;
};

constexpr NcclPatience kNone{0.05, 0.05, 0};

// Ranks with a card each.
class ByNccl : public testing::Test {
 protected:
  struct Rank {
    std::unique_ptr<Card> card;
    std::unique_ptr<TurnsWorld> world;
    std::unique_ptr<NcclCarrier> carrier;
    std::vector<void*> memory;
  };
  void begin(int size, bool with_carriers = true) {
    tests::begin_nccl();
    auto& told = tests::begin_runtime();
    told.cards.assign(static_cast<std::size_t>(size), {"NVIDIA H200", 9, 0, std::int64_t{140} << 30});
    for (int rank = 0; rank < size; ++rank) {
      Rank& one = ranks_.emplace_back();
      one.card = std::make_unique<Card>(rank);
      one.world = std::make_unique<TurnsWorld>(rank, size, board_);
      if (with_carriers) make(one);
    }
    tests::nccl().calls.clear();
  }
  void make(Rank& one) { one.carrier = std::make_unique<NcclCarrier>(tests::kNcclCalls, *one.card, *one.world, kNone); }
  void TearDown() override {
    for (Rank& one : ranks_) one.carrier.reset();
    for (Rank& one : ranks_)
      for (void* memory : one.memory) one.card->release(memory);
    ranks_.clear();
    EXPECT_EQ(tests::nccl().communicators, 0);
    EXPECT_EQ(tests::runtime().allocations, 0);
    EXPECT_EQ(tests::runtime().streams, 0);
    EXPECT_EQ(tests::runtime().events, 0);
  }

  Piece piece(Rank& one, const std::string& text) {
    if (text.empty()) return {};
    one.memory.push_back(one.card->allocate(std::ssize(text)));
    one.card->upload(one.memory.back(), text.data(), std::ssize(text));
    return {one.memory.back(), std::ssize(text)};
  }
  static std::string text_of(Rank& one, const Piece& piece) {
    std::string text(static_cast<std::size_t>(piece.bytes), ' ');
    one.card->download(text.data(), piece.data, piece.bytes);
    return text;
  }
  // Two ranks that send each other `bytes`; what they receive is in got_.
  void begin_exchange(std::int64_t bytes = 4) {
    got_.clear();
    for (Rank& one : ranks_) {
      std::vector<Piece> sends(2), receives(2);
      const auto other = static_cast<std::size_t>(1 - one.world->rank());
      sends[other] = piece(one, std::string(static_cast<std::size_t>(bytes), one.world->rank() == 0 ? 'a' : 'b'));
      receives[other] = piece(one, std::string(static_cast<std::size_t>(bytes), '?'));
      got_.push_back(receives[other]);
      tickets_.push_back(one.carrier->begin_exchange(sends, receives));
    }
  }
  std::string words(const std::function<void()>& ask) { return words_of_error(ErrorKind::unavailable, ask); }
  static int count(const std::string& call) {
    return static_cast<int>(std::count(tests::nccl().calls.begin(), tests::nccl().calls.end(), call));
  }

  std::string board_;
  std::vector<Rank> ranks_;
  std::vector<Piece> got_;
  std::vector<Carrier::Ticket> tickets_;
};

// What rank `from` sends to rank `to`.
std::string letter(int exchange, int from, int to) {
  return std::string(static_cast<std::size_t>((exchange * 7 + from * 3 + to * 5) % 4 * 10),
                     static_cast<char>('a' + (exchange + from * 5 + to) % 26));
}

TEST_F(ByNccl, EveryPieceArrivesWhileOthersAreOnTheirWay) {
  begin(3);
  constexpr int kExchanges = 6, kAtOnce = 2;
  std::vector<std::vector<std::vector<Piece>>> got(kExchanges);
  std::vector<std::vector<Carrier::Ticket>> tickets(kExchanges);
  const auto finish = [&](std::size_t k) {
    for (Rank& one : ranks_) {
      const auto me = static_cast<std::size_t>(one.world->rank());
      one.carrier->finish(tickets[k][me]);
      for (std::size_t p = 0; p < 3; ++p)
        EXPECT_EQ(text_of(one, got[k][me][p]), letter(static_cast<int>(k), static_cast<int>(p), one.world->rank()));
    }
  };
  for (std::size_t k = 0; k < kExchanges; ++k) {
    for (Rank& one : ranks_) {
      std::vector<Piece> sends, receives;
      for (int p = 0; p < 3; ++p) sends.push_back(piece(one, letter(static_cast<int>(k), one.world->rank(), p)));
      for (int p = 0; p < 3; ++p)
        receives.push_back(piece(one, std::string(letter(static_cast<int>(k), p, one.world->rank()).size(), '?')));
      got[k].push_back(receives);
      tickets[k].push_back(one.carrier->begin_exchange(sends, receives));
    }
    if (k >= kAtOnce) finish(k - kAtOnce);
  }
  for (std::size_t k = kExchanges - kAtOnce; k < kExchanges; ++k) finish(k);
  EXPECT_FALSE(ranks_[0].carrier->takes_shorter());
}

// The card is still at work on what is sent, and on what was received last, when an exchange is begun.
TEST_F(ByNccl, AnExchangeIsBehindTheCardsWorkBeforeIt) {
  begin(2);
  Rank &first = ranks_[0], &second = ranks_[1];
  const Piece source = piece(first, "work"), sent = piece(first, "????"), got = piece(second, "????"),
              kept = piece(second, "????");
  const auto go = [&] {
    const Carrier::Ticket out = first.carrier->begin_exchange(std::vector<Piece>{{}, sent}, std::vector<Piece>(2));
    const Carrier::Ticket in = second.carrier->begin_exchange(std::vector<Piece>(2), std::vector<Piece>{got, {}});
    second.carrier->finish(in);
    first.carrier->finish(out);
  };
  first.card->copy(sent.data, source.data, 4);
  go();
  EXPECT_EQ(text_of(second, got), "work");
  second.card->copy(kept.data, got.data, 4);
  first.card->zero(sent.data, 4);
  go();
  EXPECT_EQ(text_of(second, kept), "work");
  EXPECT_EQ(text_of(second, got), std::string(4, '\0'));
}

TEST_F(ByNccl, AnExchangeIsOneGroup) {
  begin(4);
  Rank& one = ranks_[1];
  const std::vector<Piece> sends = {piece(one, "a"), {}, piece(one, "ccc"), piece(one, "dddd")},
                           receives = {piece(one, "11"), {}, piece(one, "333"), {}};
  tests::runtime().calls.clear();
  one.carrier->begin_exchange(sends, receives);
  EXPECT_EQ(
      tests::nccl().calls,
      (std::vector<std::string>{"ncclGroupStart", "ncclRecv 0: 2 bytes", "ncclSend 2: 3 bytes", "ncclSend 3: 4 bytes",
                                "ncclRecv 2: 3 bytes", "ncclSend 0: 1 bytes", "ncclGroupEnd", "ncclCommGetAsyncError",
                                "ncclCommGetAsyncError", "ncclCommGetAsyncError"}))
      << "none of no bytes; the group is in the stream before anything else is";
  EXPECT_EQ(tests::runtime().calls, (std::vector<std::string>{"cudaSetDevice", "cudaEventRecord", "cudaStreamWaitEvent",
                                                              "cudaEventCreateWithFlags", "cudaEventRecord"}));
  tests::nccl().calls.clear();
  one.carrier->begin_exchange(std::vector<Piece>(4), std::vector<Piece>(4));
  EXPECT_EQ(tests::nccl().calls, std::vector<std::string>()) << "nothing to be carried";
}

TEST_F(ByNccl, APieceForTheRankItselfIsCopied) {
  begin(2);
  Rank& one = ranks_[0];
  const Piece from = piece(one, "self"), to = piece(one, "????");
  one.carrier->exchange(std::vector<Piece>{from, {}}, std::vector<Piece>{to, {}});
  EXPECT_EQ(text_of(one, to), "self");
  EXPECT_EQ(count("ncclGroupStart"), 0);
}

TEST_F(ByNccl, ItEndsWithTheOthers) {
  begin(2);
  begin_exchange();
  for (std::size_t p = 0; p < 2; ++p) ranks_[p].carrier->finish(tickets_[p]);
  tests::nccl().calls.clear();
  for (Rank& one : ranks_) one.carrier.reset();
  EXPECT_EQ(count("ncclCommFinalize"), 2);
  EXPECT_EQ(count("ncclCommDestroy"), 2);
  EXPECT_EQ(tests::nccl().aborted, 0);
}

TEST_F(ByNccl, ItEndsWithoutThemWhereTheyDoNotCome) {
  begin(2);
  tests::nccl().never_ready = true;
  for (Rank& one : ranks_) one.carrier.reset();
  EXPECT_EQ(tests::nccl().aborted, 2);
}

// Memory that is on its way is given back behind it.
TEST_F(ByNccl, WhatIsOnItsWayEndsWithIt) {
  begin(2);
  ranks_[0].carrier->begin_exchange(std::vector<Piece>(2), std::vector<Piece>{{}, piece(ranks_[0], "????")});
  ranks_[0].carrier.reset();
  EXPECT_EQ(tests::nccl().aborted, 1);
  EXPECT_EQ(text_of(ranks_[0], {ranks_[0].memory[0], 4}), "????");
}

TEST_F(ByNccl, ALostProcessIsNamedWhereverOneWaits) {
  const std::string lost = "process 1 of 2 on b has died: its connection is closed";
  begin(2);
  begin_exchange();
  ranks_[0].world->lost = lost;
  EXPECT_EQ(words([&] { ranks_[0].carrier->finish(tickets_[0]); }), lost);
  EXPECT_EQ(tests::nccl().aborted, 1);
  EXPECT_EQ(words([&] { ranks_[0].carrier->begin_exchange(std::vector<Piece>(2), std::vector<Piece>(2)); }),
            "nccl: an exchange failed: one before has failed");
  EXPECT_EQ(words([&] { ranks_[0].carrier->finish(tickets_[0]); }), "nccl: an exchange failed: one before has failed");
  tests::nccl().never_ready = true;  // a group that waits for connections
  ranks_[1].world->lost = lost, ranks_[1].world->looks_until_lost = 3;
  const Piece sent = piece(ranks_[1], "....");
  EXPECT_EQ(words([&] {
              ranks_[1].carrier->begin_exchange(std::vector<Piece>{sent, {}}, std::vector<Piece>(2));
            }),
            lost);
  EXPECT_EQ(tests::nccl().aborted, 2);
}

TEST_F(ByNccl, ALossThatNcclSeesFirstIsNamedByTheWorld) {
  begin(2);
  begin_exchange();
  tests::nccl().state = ncclRemoteError;
  ranks_[0].world->lost = "process 1 of 2 on b has died: its connection is closed";
  ranks_[0].world->looks_until_lost = 1;
  EXPECT_EQ(words([&] { ranks_[0].carrier->finish(tickets_[0]); }), ranks_[0].world->lost);
  const Piece sent = piece(ranks_[1], "....");  // whose world knows of nothing
  EXPECT_EQ(words([&] {
              ranks_[1].carrier->begin_exchange(std::vector<Piece>{sent, {}}, std::vector<Piece>(2));
            }),
            "nccl: an exchange failed: remote process exited or there was a network error");
  EXPECT_EQ(tests::nccl().aborted, 2);
}

TEST_F(ByNccl, AStartThatFailsSaysWhy) {
  begin(2, false);
  tests::Nccl& told = tests::nccl();
  told.failing = {{"ncclGetUniqueId", ncclSystemError}};
  told.last_error = "no interface was found\nand more";
  for (Rank& one : ranks_)  // the second hears of it
    EXPECT_EQ(words([&] { make(one); }), "nccl: the start failed: unhandled system error (no interface was found)");
  told.failing = {{"ncclCommInitRankConfig", ncclInvalidUsage}};
  told.last_error = "";
  EXPECT_EQ(words([&] { make(ranks_[0]); }), "nccl: the start failed: invalid usage");
  told.failing = {};
  told.state = ncclInvalidUsage;  // found while it begins, as two ranks with one card are
  EXPECT_EQ(words([&] { make(ranks_[0]); }), "nccl: the start failed: invalid usage");
  told.state = ncclSuccess;
  told.never_ready = true;
  EXPECT_EQ(words([&] { make(ranks_[0]); }), "nccl: the start failed: not all processes have come within 0.05 s");
  ranks_[0].world->lost = "process 1 of 2 has died";
  EXPECT_EQ(words([&] { make(ranks_[0]); }), "process 1 of 2 has died");
  EXPECT_EQ(tests::runtime().streams, 2) << "those of the cards' work are left";
}

// Each call that can fail in an exchange, and the words for it.
TEST_F(ByNccl, AnErrorNamesWhatFailed) {
  for (const char* call : {"ncclGroupStart", "ncclSend", "ncclRecv", "ncclGroupEnd", "ncclCommGetAsyncError"}) {
    begin(2);
    tests::nccl().failing = {{call, ncclInternalError}};
    EXPECT_EQ(words([&] { begin_exchange(); }), "nccl: an exchange failed: another error") << call;
    EXPECT_EQ(tests::nccl().aborted, 1) << call;
    tests::nccl().failing = {};
    TearDown();
  }
  const std::string illegal = " failed: an illegal memory access was encountered";
  struct Case {
    const char* call;
    std::string words;
    bool at_the_end;
  };
  for (const Case& one :
       {Case{"cudaEventRecord", "an event", false}, Case{"cudaStreamWaitEvent", "a wait for an event", false},
        Case{"cudaEventCreateWithFlags", "an event", false}, Case{"cudaEventQuery", "an exchange", true}}) {
    begin(2);
    if (one.at_the_end) begin_exchange();
    tests::runtime().failing = {{one.call, cudaErrorIllegalAddress}};
    EXPECT_EQ(words([&] { one.at_the_end ? ranks_[0].carrier->finish(tickets_[0]) : begin_exchange(); }),
              "cuda: " + one.words + illegal)
        << one.call;
    EXPECT_EQ(cudaGetLastError(), cudaSuccess) << one.call;
    tests::runtime().failing = {};
    TearDown();
    tickets_.clear();
  }
}

TEST_F(ByNccl, WhatIsNotDoneYetIsNoErrorOfTheNextLaunch) {
  begin(2);
  begin_exchange();
  for (std::size_t p = 0; p < 2; ++p) ranks_[p].carrier->finish(tickets_[p]);
  EXPECT_GT(std::count(tests::runtime().calls.begin(), tests::runtime().calls.end(), "cudaEventQuery"), 2);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(NcclLibrary, IsNotEarlierThanTheBuild) {
  EXPECT_EQ(why_no_nccl_of_version(NCCL_VERSION_CODE), "");
  EXPECT_EQ(why_no_nccl_of_version(29999), "");
  EXPECT_EQ(why_no_nccl_of_version(21403).substr(0, 56), "libnccl.so.2 is NCCL 2.14.3, and this build was made wit");
}

// There may be one or not.
TEST(NcclLibrary, SaysWhyItCannotBeUsed) {
  const NcclLibrary& library = nccl_library();
  if (library.why_not.empty()) {
    EXPECT_NE(library.calls.recv, nullptr);
  } else {
    EXPECT_NE(library.why_not.find("libnccl.so.2"), std::string::npos) << library.why_not;
  }
}

}  // namespace
}  // namespace longstride::cuda
