// These tests count what windows read in an epoch: each byte is scored once.
#include "data/order.h"

#include <fmt/format.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>
#include <vector>

#include "io/scratch.h"

namespace longstride {
namespace {

// How often each byte is scored by the windows of one epoch.
std::vector<int> scores(const DataOrder& order, std::int64_t epoch, std::int64_t length, std::int64_t context) {
  std::vector<int> count(static_cast<std::size_t>(length));
  for (std::int64_t index = order.first_window(epoch); index < order.first_window(epoch + 1); ++index) {
    const Window window = order.window(index);
    EXPECT_GE(window.begin, 0);
    EXPECT_LE(window.begin, length - context);
    EXPECT_GE(window.score_begin, 0);
    EXPECT_GE(window.score_count, 1);
    EXPECT_LE(window.score_begin + window.score_count, context);
    for (std::int64_t i = 0; i < window.score_count; ++i) {
      ++count[static_cast<std::size_t>(window.begin + window.score_begin + i)];
    }
  }
  return count;
}

bool all_once(const std::vector<int>& count) {
  return std::all_of(count.begin(), count.end(), [](int times) { return times == 1; });
}

TEST(Order, EveryByteIsScoredOnceAnEpochForEverySmallLengthAndContext) {
  for (std::int64_t context = 1; context <= 9; ++context) {
    for (std::int64_t length = context; length <= 40; ++length) {
      const DataOrder order(length, context, 7);
      for (std::int64_t epoch = 0; epoch < 2 * context + 2; ++epoch) {
        ASSERT_TRUE(all_once(scores(order, epoch, length, context)))
            << "length " << length << ", context " << context << ", epoch " << epoch;
      }
    }
  }
}

TEST(Order, EveryByteIsScoredOnceAnEpochForRandomLengthsAndContexts) {
  const bool holds = rc::check([]() {
    const auto context = *rc::gen::inRange<std::int64_t>(1, 500);
    const auto length = context + *rc::gen::inRange<std::int64_t>(0, 5000);
    const auto epoch = *rc::gen::inRange<std::int64_t>(0, 100'000);
    const DataOrder order(length, context, *rc::gen::inRange<std::int64_t>(0, 1000));
    RC_ASSERT(all_once(scores(order, epoch, length, context)));
    const std::int64_t windows = order.first_window(epoch + 1) - order.first_window(epoch);
    RC_ASSERT(windows <= (length - 1) / context + 2);  // at most one more than must be
  });
  EXPECT_TRUE(holds);
}

TEST(Order, EpochsFollowOneAnotherWithoutGap) {
  for (const auto& [length, context] :
       {std::pair(100, 7), std::pair(7, 7), std::pair(13, 7), std::pair(14, 7), std::pair(9, 1)}) {
    const DataOrder order(length, context, 3);
    EXPECT_EQ(order.first_window(0), 0);
    std::int64_t index = 0;
    for (std::int64_t epoch = 0; epoch < 60; ++epoch) {
      const std::int64_t end = order.first_window(epoch + 1);
      ASSERT_GT(end, index);
      for (; index < end; ++index) ASSERT_EQ(order.epoch_of(index), epoch);
    }
  }
}

TEST(Order, AnEpochIsInAShuffledOrderThatDiffersBetweenEpochs) {
  const DataOrder order(100'000, 100, 1);
  std::vector<std::int64_t> begins[2];
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    for (std::int64_t i = order.first_window(epoch); i < order.first_window(epoch + 1); ++i) {
      begins[epoch].push_back(order.window(i).begin / 100);
    }
  }
  EXPECT_FALSE(std::is_sorted(begins[0].begin(), begins[0].end()));
  EXPECT_NE(begins[0], begins[1]);
  // A permutation of 1,000 drawn evenly has one fixed neighbour pair (k, k + 1) on average; ten is beyond chance.
  int neighbours = 0;
  for (std::size_t i = 1; i < begins[0].size(); ++i) neighbours += begins[0][i] == begins[0][i - 1] + 1;
  EXPECT_LT(neighbours, 10);
}

TEST(Order, EveryPermutationOfFewPiecesOccurs) {
  const DataOrder order(35, 10, 1);  // 4 or 5 pieces
  std::set<std::vector<std::int64_t>> seen;
  for (std::int64_t epoch = 0; epoch < 2000; ++epoch) {
    std::vector<std::pair<std::int64_t, std::int64_t>> pieces;
    const std::int64_t first = order.first_window(epoch);
    if (order.first_window(epoch + 1) - first != 4) continue;
    for (std::int64_t i = 0; i < 4; ++i) {
      const Window window = order.window(first + i);
      pieces.emplace_back(window.begin + window.score_begin, i);
    }
    std::sort(pieces.begin(), pieces.end());
    std::vector<std::int64_t> ranks;
    for (const auto& [begin, rank] : pieces) ranks.push_back(rank);
    seen.insert(ranks);
  }
  EXPECT_EQ(seen.size(), 24u);
}

TEST(Order, EveryPhaseOccursAboutEquallyOften) {
  constexpr std::int64_t kContext = 16, kEpochs = 16'000;
  for (const std::int64_t length : {100, 96, 33, 31}) {
    const DataOrder order(length, kContext, 5);
    std::vector<int> phases(kContext + 1);
    for (std::int64_t epoch = 0; epoch < kEpochs; ++epoch) {
      for (std::int64_t i = order.first_window(epoch); i < order.first_window(epoch + 1); ++i) {
        const Window window = order.window(i);
        if (window.begin + window.score_begin == 0) ++phases[static_cast<std::size_t>(window.score_count)];
      }
    }
    // 1,000 expected each, standard deviation below 32: six of them.
    for (std::int64_t p = 1; p <= kContext; ++p) {
      EXPECT_NEAR(phases[static_cast<std::size_t>(p)], 1000, 192) << "phase " << p << " of length " << length;
    }
  }
}

TEST(Order, APartOfOneContextGivesThatWindowForEver) {
  const DataOrder order(512, 512, 9);
  for (std::int64_t index = 0; index < 1000; ++index) {
    const Window window = order.window(index);
    ASSERT_EQ(window.begin, 0);
    ASSERT_EQ(window.score_begin, 0);
    ASSERT_EQ(window.score_count, 512);
    ASSERT_EQ(order.epoch(index), static_cast<double>(index));
  }
}

TEST(Order, DependsOnTheSeedAlone) {
  const DataOrder one(10'000, 64, 1), same(10'000, 64, 1), other(10'000, 64, 2);
  int equal = 0;
  for (std::int64_t index = 0; index < 500; ++index) {
    EXPECT_EQ(one.window(index).begin, same.window(index).begin);
    equal += one.window(index).begin == other.window(index).begin;
  }
  EXPECT_LT(equal, 20);
}

TEST(Order, ProgressGrowsFromEpochToEpoch) {
  const DataOrder order(1000, 30, 1);
  EXPECT_EQ(order.epoch(0), 0);
  EXPECT_EQ(order.epoch(order.first_window(3)), 3);
  for (std::int64_t index = 1; index < 500; ++index) EXPECT_GT(order.epoch(index), order.epoch(index - 1));
}

TEST(Order, LargePartsAndLateWindowsKeepTo64Bits) {
  const std::int64_t length = (std::int64_t{1} << 50) + 12345, context = (std::int64_t{1} << 20) + 7;
  const DataOrder order(length, context, 1);
  for (const std::int64_t index : {std::int64_t{0}, std::int64_t{1} << 40, (std::int64_t{1} << 60) + 1}) {
    const std::int64_t epoch = order.epoch_of(index);
    EXPECT_LE(order.first_window(epoch), index);
    EXPECT_GT(order.first_window(epoch + 1), index);
    const Window window = order.window(index);
    EXPECT_GE(window.begin, 0);
    EXPECT_LE(window.begin, length - context);
    EXPECT_LE(window.score_begin + window.score_count, context);
  }
}

TEST(Order, APartShorterThanAContextIsAnError) {
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { DataOrder(99, 100, 1); }),
            "data order: the part must hold a context of 100 tokens, got 99");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { DataOrder(99, 0, 1); }),
            "data order: the context must be in [1, 2^31], got 0");
}

TEST(Order, OfPicturesPermutesWholeOnes) {
  constexpr std::int64_t kPictures = 50, kBytes = 12;
  const DataOrder order(kPictures * kBytes, kBytes, 5, DataOrder::Cut::at_multiples);
  std::vector<std::int64_t> last;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    EXPECT_EQ(order.first_window(epoch), epoch * kPictures);
    std::vector<std::int64_t> begins;
    for (std::int64_t i = 0; i < kPictures; ++i) {
      const Window window = order.window(epoch * kPictures + i);
      EXPECT_EQ(window.begin % kBytes, 0);
      EXPECT_EQ(window.score_begin, 0);
      EXPECT_EQ(window.score_count, kBytes);
      begins.push_back(window.begin / kBytes);
    }
    EXPECT_EQ(std::set<std::int64_t>(begins.begin(), begins.end()).size(), std::size_t{kPictures});
    EXPECT_NE(begins, last);
    last = begins;
  }
  EXPECT_EQ(DataOrder(kBytes, kBytes, 5, DataOrder::Cut::at_multiples).window(7).begin, 0);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { DataOrder(25, 12, 1, DataOrder::Cut::at_multiples); }),
            "data order: the part must hold whole contexts of 12 tokens, got 25");
}

}  // namespace
}  // namespace longstride
