// The kernels of primitives.h.
#include "cuda/primitives.h"

#include "cuda/attention/fragments.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace longstride::cuda {

namespace {

template <class A>
struct ProductsKernel {
  static constexpr int kThreads = kProductRows / kWarpRows * kWarp;
  using Tile = SharedTile<A, kProductChannels>;
  TileProducts<A> operands;

  std::size_t shared_bytes() const {
    return static_cast<std::size_t>(Tile::bytes(kProductRows) + Tile::bytes(kProductColumns) +
                                    kThreads / kWarp * WarpPatch<A, kProductColumns>::kBytes);
  }

  template <class Block, class Copies>
  LONGSTRIDE_DEVICE void bring(Block& block, Copies& copies, const Tile& tile, const A* rows, int count) const {
    for (int at = block.thread(); at < count * Tile::kChunks; at += block.threads()) {
      const int row = at / Tile::kChunks, channel = at % Tile::kChunks * Tile::kChunk;
      copies.copy16(tile.at(row, channel), rows + row * kProductChannels + channel, true);
    }
  }

  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto copies = async_copies(block);
    Tile own, walked;
    own.data = block.template shared<A>();
    walked.data = own.data + kProductRows * kProductChannels;
    bring(block, copies, own, operands.own, kProductRows);
    bring(block, copies, walked, operands.walked, kProductColumns);
    copies.wait();
    block.sync();
    float* const patch = reinterpret_cast<float*>(walked.data + kProductColumns * kProductChannels) +
                         block.warp() * WarpPatch<A, kProductColumns>::kBytes / static_cast<int>(sizeof(float));
    float scores[kProductColumns / 8][4] = {}, sums[kProductChannels / 8][4] = {};
    const int first = block.warp() * kWarpRows;
    multiply_rows<kProductColumns>(block, scores, own, first, walked, kProductChannels);
    write(block, scores, operands.scores, first, kProductColumns);
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kProductColumns / 8; ++t)
      for (int r = 0; r < 4; ++r) scores[t][r] = to_float(from_float<A>(scores[t][r]));
    multiply_columns<kProductColumns, kProductChannels>(block, sums, scores, walked, 0, kProductChannels, patch);
    write(block, sums, operands.sums, first, kProductChannels);
  }

  template <class Block, int kTiles>
  LONGSTRIDE_DEVICE void write(Block& block, const float (&sum)[kTiles][4], float* to, int first, int columns) const {
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kTiles; ++t)
      for (int r = 0; r < 4; ++r) {
        const Element at = sum_element(block.lane(), r);
        to[(first + at.row) * columns + t * 8 + at.column] = sum[t][r];
      }
  }
};

struct ExchangeKernel {
  static constexpr int kThreads = kExchangeThreads;
  Exchanged* out;

  std::size_t shared_bytes() const { return kThreads / kWarp * sizeof(int); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const auto own = static_cast<std::uint32_t>(block.thread());
    Exchanged got;
    got.from_5 = block.shuffle(own, 5);
    got.from_neighbour = block.shuffle_xor(own, 1);
    got.from_3_below = block.shuffle_down(own, 3);
    got.ballot = block.ballot(own % 3 == 0);
    got.any_of_block = block.sync_or(own == kThreads - 1) ? 1 : 0;
    got.none_of_block = block.sync_or(false) ? 1 : 0;
    got.block_sum =
        static_cast<std::uint32_t>(reduce_block(block, block.thread(), block.template shared<int>(), Add()));
    const RowMasks<32> masks(block, own % kWarp);
    got.column_has = masks.has(block.lane(), 0, 0) ? 1 : 0;
    out[block.thread()] = got;
  }
};

struct FunctionsOf {
  const float* x;
  Functions* out;

  LONGSTRIDE_DEVICE void operator()(std::int64_t i) const {
    const float a = x[i];
    out[i] = {exp(a), log(a), exp2(a), log2(a), sqrt(a), fma(a, a, -1.0f), to_float(from_float<bf16>(a))};
  }
};

}  // namespace

void launch_products(Stream& stream, const TileProducts<bf16>& operands) {
  launch(stream, ProductsKernel<bf16>{operands}, {});
}
void launch_products(Stream& stream, const TileProducts<float>& operands) {
  launch(stream, ProductsKernel<float>{operands}, {});
}
void launch_exchange(Stream& stream, Exchanged* out) { launch(stream, ExchangeKernel{out}, {}); }
void launch_functions(Stream& stream, const float* x, Functions* out, std::int64_t count) {
  launch_each(stream, count, FunctionsOf{x, out});
}

}  // namespace longstride::cuda
