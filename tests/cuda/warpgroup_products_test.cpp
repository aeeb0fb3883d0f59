// These tests hold the operands of Hopper's products, and the products as the interpreter has them, to plain index
// arithmetic and to products of matrices; and they make faults and see them found.
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cuda/attention/fragments.h"
#include "cuda/hopper/async_unit.h"
#include "cuda/misuse.h"

namespace longstride::cuda {
namespace {

constexpr std::uint64_t kOrdersOfProducts = 20;

template <int kTileRows, int kChannels>
void expect_places_are_one_to_one() {
  using Tile = SwizzledTile<kTileRows, kChannels>;
  std::set<int> places;
  for (int row = 0; row < kTileRows; ++row)
    for (int channel = 0; channel < kChannels; ++channel) {
      const int at = Tile::offset(row, channel);
      places.insert(at);
      // As the PTX manual draws it: chunk c of row r in the place of chunk c ^ (r % 8).
      const int panel = channel / 64, chunk = channel % 64 / 8;
      ASSERT_EQ(at, panel * kTileRows * 128 + row * 128 + (chunk ^ row % 8) * 16 + channel % 8 * 2);
    }
  EXPECT_EQ(static_cast<int>(places.size()), kTileRows * kChannels);
  EXPECT_EQ(*places.rbegin(), Tile::kBytes - 2);
}

TEST(SwizzledTiles, HaveAPlaceForEachElement) {
  expect_places_are_one_to_one<64, 64>();
  expect_places_are_one_to_one<128, 64>();
  expect_places_are_one_to_one<128, 128>();
}

// The fields of the descriptor, by the bits that the PTX manual gives them.
TEST(Operands, AreSaidInTheBitsOfADescriptor) {
  const std::uint64_t bits = operand(0x12340, 16 * 1024, 1024);
  EXPECT_EQ(bits & 0x3fff, 0x1234u);
  EXPECT_EQ(bits >> 16 & 0x3fff, 1024u);
  EXPECT_EQ(bits >> 32 & 0x3fff, 64u);
  EXPECT_EQ(bits >> 49 & 7, 0u);  // base offset: blocks begin at multiples of 1,024
  EXPECT_EQ(bits >> 62, 1u);      // swizzle of 128 bytes
}

template <int kTileRows, int kChannels>
void expect_operands_are_of_the_tile() {
  using Tile = SwizzledTile<kTileRows, kChannels>;
  constexpr std::uint32_t kBegin = 3 * kSwizzleBytes;
  for (int channel = 0; channel < kChannels; channel += 16)
    for (int row = 0; row + 64 <= kTileRows; row += 64) {
      const std::uint64_t rows = rows_operand<Tile>(kBegin, row, channel);
      for (int outer = 0; outer < 64; ++outer)
        for (int inner = 0; inner < 16; ++inner)
          ASSERT_EQ(element_address(rows, false, outer, inner), kBegin + Tile::offset(row + outer, channel + inner));
    }
  for (int row = 0; row < kTileRows; row += 16) {
    const std::uint64_t columns = columns_operand<Tile>(kBegin, row);
    for (int outer = 0; outer < kChannels; ++outer)
      for (int inner = 0; inner < 16; ++inner)
        ASSERT_EQ(element_address(columns, true, outer, inner), kBegin + Tile::offset(row + inner, outer));
  }
}

TEST(Operands, ReachTheElementsOfTheirTile) {
  expect_operands_are_of_the_tile<64, 64>();
  expect_operands_are_of_the_tile<128, 64>();
  expect_operands_are_of_the_tile<64, 128>();
  expect_operands_are_of_the_tile<128, 128>();
}

// out (64 x 64, then 64 x kChannels): scores = left x right^T over kChannels, then bfloat16(scores) x right. The
// operands come by the threads' own writes.
template <int kChannels>
struct TwoProducts {
  static constexpr int kThreads = kWarpgroup;
  using Left = SwizzledTile<64, kChannels>;
  using Right = SwizzledTile<64, kChannels>;
  const bf16 *left, *right;  // (64, kChannels)
  float* out;                // (64, 64 + kChannels)
  bool shows = true, begins = true, waits = true, writes_early = false, spoils_sums = false, spoils_left = false;

  std::size_t shared_bytes() const { return Left::kBytes + Right::kBytes; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto unit = async_unit(block);
    auto* const memory = block.template shared<char>();
    for (int at = block.thread(); at < 64 * kChannels; at += kThreads) {
      const int row = at / kChannels, c = at % kChannels;
      *reinterpret_cast<bf16*>(memory + Left::offset(row, c)) = left[at];
      *reinterpret_cast<bf16*>(memory + Left::kBytes + Right::offset(row, c)) = right[at];
    }
    if (shows) unit.show();
    block.sync();
    const std::uint32_t left_at = unit.address(memory), right_at = left_at + Left::kBytes;
    float scores[8][4] = {}, sums[kChannels / 8][4];
    for (auto& tile : sums)
      for (float& x : tile) x = 1;
    if (begins) unit.begin_products();
    for (int c = 0; c < kChannels; c += 16)
      unit.template multiply<false>(scores, rows_operand<Left>(left_at, 0, c), rows_operand<Right>(right_at, 0, c),
                                    c > 0);
    unit.commit_products();
    if (spoils_sums) scores[0][0] = 1;
    if (waits) unit.template wait_for_products<0>(scores);
    write(block, scores, 0);
    std::uint32_t halves[4][4];
    for (int k = 0; k < 4; ++k)
      for (int r = 0; r < 4; ++r) {
        const float* const two = scores[2 * k + r / 2] + r % 2 * 2;
        halves[k][r] = pack(two[0], two[1]);
      }
    unit.begin_products();
    for (int k = 0; k < 4; ++k)
      unit.template multiply<true>(sums, halves[k], columns_operand<Right>(right_at, 16 * k), true);
    unit.commit_products();
    if (spoils_left) halves[1][2] = 0;
    if (writes_early) *reinterpret_cast<bf16*>(memory + Left::kBytes + 2 * block.thread()) = {0};
    if (writes_early) unit.show();
    unit.template wait_for_products<0>(sums);
    write(block, sums, 64);
  }
  template <class Block, int kTiles>
  void write(Block& block, const float (&sum)[kTiles][4], int from) const {
    for (int t = 0; t < kTiles; ++t)
      for (int r = 0; r < 4; ++r) {
        const Element at = sum_element(block.lane(), r);
        out[(block.warp() * 16 + at.row) * (64 + kChannels) + from + t * 8 + at.column] = sum[t][r];
      }
  }
};

template <int kChannels>
struct ProductsCase {
  std::vector<bf16> left, right;
  ProductsCase() : left(64 * kChannels), right(left) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (bf16& x : left) x = from_float<bf16>(normal(random) / 8);
    for (bf16& x : right) x = from_float<bf16>(normal(random));
  }
  std::vector<float> run(TwoProducts<kChannels> kernel, std::uint64_t seed) const {
    std::vector<float> out(64 * (64 + kChannels));
    kernel.left = left.data(), kernel.right = right.data(), kernel.out = out.data();
    host::set_seed(seed);
    host::run_blocks({}, kernel.kThreads, kernel.shared_bytes(), [&](host::HostBlock& block) { kernel(block); });
    return out;
  }
};

template <int kChannels>
void expect_products_of_matrices() {
  const ProductsCase<kChannels> c;
  const std::vector<float> got = c.run({}, 1);
  for (std::uint64_t seed = 2; seed <= 6; ++seed) EXPECT_EQ(c.run({}, seed), got);
  const auto at = [](const std::vector<bf16>& x, int row, int channel) {
    return double{to_float(x[static_cast<std::size_t>(row * kChannels + channel)])};
  };
  for (int i = 0; i < 64; ++i) {
    const float* const row = got.data() + i * (64 + kChannels);
    for (int j = 0; j < 64; ++j) {
      double want = 0;
      for (int channel = 0; channel < kChannels; ++channel) want += at(c.left, i, channel) * at(c.right, j, channel);
      ASSERT_NEAR(row[j], want, 1e-4);
    }
    for (int channel = 0; channel < kChannels; ++channel) {
      double want = 1;
      for (int j = 0; j < 64; ++j) want += to_float(from_float<bf16>(row[j])) * at(c.right, j, channel);
      ASSERT_NEAR(row[64 + channel], want, 1e-3);
    }
  }
}

TEST(Products, OfTilesAreThoseOfMatrices) {
  expect_products_of_matrices<64>();
  expect_products_of_matrices<128>();
}

TEST(Products, ThatAreMisusedAreFoundOut) {
  const ProductsCase<64> c;
  const std::vector<float> wanted = c.run({}, 1);
  const auto error = [&](const std::function<void(TwoProducts<64>&)>& spoil) {
    TwoProducts<64> kernel{};
    spoil(kernel);
    return error_of([&] { c.run(kernel, 1); });
  };
  EXPECT_EQ(error([](auto&) {}), "");
  EXPECT_NE(error([](auto& kernel) { kernel.shows = false; }).find("not shown"), std::string::npos);
  EXPECT_NE(error([](auto& kernel) { kernel.begins = false; }).find("begin_products"), std::string::npos);
  EXPECT_NE(error([](auto& kernel) { kernel.spoils_sums = true; }).find("sums of a product"), std::string::npos);
  EXPECT_NE(error([](auto& kernel) { kernel.spoils_left = true; }).find("left operand"), std::string::npos);
  int without_wait = 0, overwritten = 0;
  for (std::uint64_t seed = 1; seed <= kOrdersOfProducts; ++seed) {
    TwoProducts<64> kernel{};
    kernel.waits = false;
    std::vector<float> got;
    const std::string words = error_of([&] { got = c.run(kernel, seed); });
    without_wait += !words.empty() || any_nan(got);
    kernel = {}, kernel.writes_early = true;
    overwritten += c.run(kernel, seed) != wanted;
  }
  EXPECT_EQ(without_wait, static_cast<int>(kOrdersOfProducts));
  EXPECT_GT(overwritten, static_cast<int>(kOrdersOfProducts / 2));
}

}  // namespace
}  // namespace longstride::cuda
