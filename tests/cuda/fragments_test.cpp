// These tests hold tiles and products of a warp to what they stand for: maps of fragments are one to one, neighbouring
// rows lie in different banks, and products of tiles are products of matrices.
#include "cuda/attention/fragments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "cuda/host/interpreter.h"

namespace longstride::cuda {
namespace {

TEST(Fragments, HaveEveryElementOnce) {
  std::set<std::pair<int, int>> sums, left, right;
  for (int lane = 0; lane < 32; ++lane)
    for (int r = 0; r < 4; ++r) {
      sums.insert({sum_element(lane, r).row, sum_element(lane, r).column});
      for (int e = 0; e < 2; ++e) {
        left.insert({left_element(lane, r, e).row, left_element(lane, r, e).column});
        if (r < 2) right.insert({right_element(lane, r, e).row, right_element(lane, r, e).column});
      }
    }
  EXPECT_EQ(sums.size(), 16u * 8);
  EXPECT_EQ(left.size(), 16u * 16);
  EXPECT_EQ(right.size(), 16u * 8);
  EXPECT_EQ(*sums.rbegin(), std::pair(15, 7));
  EXPECT_EQ(*left.rbegin(), std::pair(15, 15));
  EXPECT_EQ(*right.rbegin(), std::pair(15, 7));
}

// Sums of one product are the left operand of the next without moving between lanes.
TEST(Fragments, OfSumsAreThoseOfALeftOperand) {
  for (int lane = 0; lane < 32; ++lane)
    for (int r = 0; r < 4; ++r)
      for (int e = 0; e < 2; ++e) {
        const Element sum = sum_element(lane, r % 2 * 2 + e), left = left_element(lane, r, e);
        EXPECT_EQ(sum.row, left.row);
        EXPECT_EQ(sum.column + r / 2 * 8, left.column);
      }
}

template <class Tile>
void expect_places_are_one_to_one(int rows, int channels) {
  std::set<int> places;
  for (int row = 0; row < rows; ++row)
    for (int channel = 0; channel < channels; ++channel) places.insert(Tile::offset(row, channel));
  EXPECT_EQ(static_cast<int>(places.size()), rows * channels);
  EXPECT_EQ(*places.begin(), 0);
  EXPECT_EQ(*places.rbegin(), rows * channels - 1);
}

TEST(SharedTiles, HaveAPlaceForEachElement) {
  expect_places_are_one_to_one<SharedTile<bf16, 64>>(64, 64);
  expect_places_are_one_to_one<SharedTile<bf16, 256>>(16, 256);
  expect_places_are_one_to_one<SharedTile<float, 64>>(32, 64);
  expect_places_are_one_to_one<SharedTile<float, 128>>(16, 128);
}

// Eight lanes at a time read 16 bytes each: two that read different chunks of the same banks would take turns.
template <class Tile, class Place>
void expect_no_conflicts(const Place& place) {
  for (int first = 0; first < 32; first += 8) {
    std::set<int> chunks, banks;
    for (int lane = first; lane < first + 8; ++lane) {
      const Element at = place(lane);
      const int chunk = Tile::offset(at.row, at.column) / Tile::kChunk;
      chunks.insert(chunk);
      banks.insert(chunk % 8);
    }
    EXPECT_EQ(chunks.size(), banks.size());
  }
}

template <int kChannels, class RowOf>
void expect_no_conflicts_of_matrices(const RowOf& row_of) {
  for (int row = 0; row < 64; row += 8)
    for (int channel = 0; channel < kChannels; channel += 16)
      expect_no_conflicts<SharedTile<bf16, kChannels>>([&](int lane) {
        const Element at = row_of(lane);
        return Element{row + at.row, channel + at.column};
      });
}

template <int kChannels>
void expect_no_conflicts_of_loads() {
  expect_no_conflicts_of_matrices<kChannels>(LeftRow());
  expect_no_conflicts_of_matrices<kChannels>(RightRow());
  expect_no_conflicts_of_matrices<kChannels>(TransposedRow());
  using Floats = SharedTile<float, kChannels>;
  for (int channel = 0; channel < kChannels; channel += 4) {
    expect_no_conflicts<Floats>([&](int lane) { return Element{lane / 4, channel}; });
    expect_no_conflicts<Floats>([&](int lane) { return Element{lane % 4 * 2, channel}; });
    expect_no_conflicts<Floats>([&](int lane) { return Element{lane % 4 * 2 + 1, channel}; });
  }
}

TEST(SharedTiles, AreReadWithoutConflictsOfBanks) {
  expect_no_conflicts_of_loads<64>();
  expect_no_conflicts_of_loads<128>();
  expect_no_conflicts_of_loads<256>();
}

// The float32 patch: eight rows' numbers of one column.
TEST(SharedTiles, PatchesAreReadWithoutConflictsOfBanks) {
  for (const int stride : {WarpPatch<float, 16>::kStride, WarpPatch<float, 32>::kStride}) {
    std::set<int> banks;
    for (int row = 0; row < 8; ++row) banks.insert(row * stride % 32);
    EXPECT_EQ(banks.size(), 8u);
  }
}

template <class A, int kChannels>
struct FilledTile {
  std::vector<float> values;  // (rows, kChannels)
  std::vector<A> memory;
  SharedTile<A, kChannels> tile;
  FilledTile(int rows, int channels, unsigned seed)  // what no channel has is zero, as load_rows leaves it
      : values(static_cast<std::size_t>(rows * kChannels)), memory(values.size()) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    tile.data = memory.data();
    for (int row = 0; row < rows; ++row)
      for (int c = 0; c < kChannels; ++c) {
        const A x = from_float<A>(c < channels ? normal(random) : 0.0f);
        *tile.at(row, c) = x;
        values[static_cast<std::size_t>(row * kChannels + c)] = to_float(x);
      }
  }
  double at(int row, int c) const { return values[static_cast<std::size_t>(row * kChannels + c)]; }
};

template <class A, int kColumns, int kChannels>
void expect_products(int channels) {
  constexpr int kRows = 32, kSums = kChannels < 128 ? kChannels : 128;
  const FilledTile<A, kChannels> own(kRows, channels, 1), walked(kColumns, channels, 2);
  for (const int from : {0, kChannels - kSums}) {
    std::vector<float> patches(2 * kWarpRows * (kColumns + 4));
    host::run_blocks({1}, 64, 0, [&](host::HostBlock& block) {
      float scores[kColumns / 8][4] = {}, sums[kSums / 8][4] = {};
      const int first = block.warp() * kWarpRows;
      multiply_rows<kColumns>(block, scores, own.tile, first, walked.tile, channels);
      for (int t = 0; t < kColumns / 8; ++t)
        for (int r = 0; r < 4; ++r) {
          const Element at = sum_element(block.lane(), r);
          double wanted = 0;
          for (int c = 0; c < channels; ++c) wanted += own.at(first + at.row, c) * walked.at(t * 8 + at.column, c);
          ASSERT_NEAR(scores[t][r], wanted, 1e-4);
          scores[t][r] = to_float(from_float<A>(scores[t][r]));
        }
      multiply_columns<kColumns, kSums>(block, sums, scores, walked.tile, from, channels,
                                        patches.data() + block.warp() * kWarpRows * (kColumns + 4));
      for (int t = 0; t < kSums / 8; ++t)
        for (int r = 0; r < 4; ++r) {
          const Element at = sum_element(block.lane(), r);
          const int channel = from + t * 8 + at.column;
          if (channel >= channels) continue;
          double wanted = 0;
          for (int k = 0; k < kColumns; ++k) {
            double score = 0;
            for (int c = 0; c < channels; ++c) score += own.at(first + at.row, c) * walked.at(k, c);
            wanted += to_float(from_float<A>(static_cast<float>(score))) * walked.at(k, channel);
          }
          ASSERT_NEAR(sums[t][r], wanted, sizeof(A) == 2 ? 0.5 : 1e-2) << "row " << at.row << " channel " << channel;
        }
    });
  }
}

TEST(Fragments, OfTilesMultiplyAsMatricesDo) {
  expect_products<bf16, 64, 64>(64);
  expect_products<bf16, 16, 64>(33);
  expect_products<bf16, 16, 256>(256);
  expect_products<float, 32, 64>(64);
  expect_products<float, 16, 128>(40);
}

TEST(Powers, OfTwoAreZeroBelowNormalNumbers) {
  EXPECT_EQ(exp2_or_zero(0), 1);
  EXPECT_EQ(exp2_or_zero(-126), 0x1p-126f);
  EXPECT_EQ(exp2_or_zero(-127), 0);
  EXPECT_EQ(exp2_or_zero(-INFINITY), 0);
  EXPECT_EQ(exp2_or_zero(200), INFINITY);
  EXPECT_TRUE(std::isnan(exp2_or_zero(NAN)));
}

// A lane's bits are those of the columns that its sums stand in.
TEST(Fragments, MasksOfRowsReachTheirLanes) {
  host::run_blocks({1}, 32, 0, [](host::HostBlock& block) {
    const auto word = [](int row, int w) { return 0x9e3779b9u * static_cast<std::uint32_t>(row * 2 + w + 1); };
    const RowMasks<64> masks(block, word(block.lane() % 16, block.lane() / 16));
    for (int t = 0; t < 8; ++t)
      for (int r = 0; r < 4; ++r) {
        const Element at = sum_element(block.lane(), r);
        const int column = t * 8 + at.column;
        const bool wanted = (word(at.row, column / 32) >> (column % 32) & 1) != 0;
        ASSERT_EQ(masks.has(block.lane(), t, r), wanted);
        ASSERT_EQ(r < 2 ? masks.upper_has(column) : masks.lower_has(column), wanted);
      }
  });
}

}  // namespace
}  // namespace longstride::cuda
