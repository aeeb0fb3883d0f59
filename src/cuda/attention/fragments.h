// Products of tiles by one warp. Sixteen rows belong to a warp; its sums, float32, are fragments as tensor cores have
// them: lane l holds of each eight columns
//   sum[0], sum[1]: row l / 4,     columns 2 * (l % 4) and the next;   sum[2], sum[3]: the same of row l / 4 + 8.
// In bfloat16 products are the tensor cores' (mma.m16n8k16); in float32 they are fused multiply-adds in the same
// places, without TF32. Where g++ compiles this, a warp's lanes meet and one computes what the tensor cores would.
#pragma once

#include <cstdint>

#include "cuda/attention/shared_tile.h"
#include "cuda/grid.h"
#include "cuda/text.h"

namespace longstride::cuda {

inline constexpr int kWarpRows = 16;
inline constexpr int kFragmentColumns = 8;

struct Element {
  int row, column;
};

// Where a lane's numbers lie: of sums (16 x 8), of a left operand (16 x 16: register r holds two, e), of a right one
// (16 x 8: k down, columns across).
constexpr Element sum_element(int lane, int r) { return {lane / 4 + r / 2 * 8, lane % 4 * 2 + r % 2}; }
constexpr Element left_element(int lane, int r, int e) { return {lane / 4 + r % 2 * 8, lane % 4 * 2 + r / 2 * 8 + e}; }
constexpr Element right_element(int lane, int r, int e) { return {lane % 4 * 2 + r * 8 + e, lane / 4}; }

// Where a lane points for ldmatrix to bring four matrices of 8 x 8, whose rows lie in rows of a tile: of a left
// operand, of two right ones whose columns are the tile's rows, and of two whose columns are the tile's columns
// (transposed).
struct LeftRow {
  constexpr Element operator()(int lane) const { return {lane % 16, lane / 16 * 8}; }
};
struct RightRow {
  constexpr Element operator()(int lane) const { return {lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8}; }
};
struct TransposedRow {
  constexpr Element operator()(int lane) const { return {lane % 16, lane / 16 * 8}; }
};

// Two bfloat16: the first in the lower half.
LONGSTRIDE_DEVICE std::uint32_t pack(float first, float second) {
  return from_float<bf16>(first).bits | (static_cast<std::uint32_t>(from_float<bf16>(second).bits) << 16);
}

// What ldmatrix gives lane l: of matrix m two neighbours of row l / 4, or transposed two of column l / 4. row_of: one
// of the three above, within the tile from (row, column) on.
template <bool kTransposed, class Block, class Tile, class RowOf>
LONGSTRIDE_DEVICE void load_matrices(Block& block, const Tile& tile, int row, int column, const RowOf& row_of,
                                     std::uint32_t (&r)[4]) {
#ifdef __CUDACC__
  const Element own = row_of(block.lane());
  const auto from = static_cast<unsigned>(__cvta_generic_to_shared(tile.at(row + own.row, column + own.column)));
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
#else
  const int down = block.lane() / 4, across = block.lane() % 4 * 2;
  for (int m = 0; m < 4; ++m) {
    std::uint32_t two = 0;
    for (int e = 0; e < 2; ++e) {
      const Element at = row_of(8 * m + (kTransposed ? across + e : down));
      const bf16 x = tile.at(row + at.row, column + at.column)[kTransposed ? down : across + e];
      two |= static_cast<std::uint32_t>(x.bits) << (16 * e);
    }
    r[m] = two;
  }
#endif
}

// sum[t] += left x right[t], t in [0, kTiles): 16 x 16 by 16 x 8.
template <int kTiles, class Block>
LONGSTRIDE_DEVICE void multiply(Block& block, float (*sum)[4], const std::uint32_t (&left)[4],
                                const std::uint32_t (&right)[kTiles][2]) {
#ifdef __CUDACC__
  LONGSTRIDE_UNROLL
  for (int t = 0; t < kTiles; ++t)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[t][0]), "+f"(sum[t][1]), "+f"(sum[t][2]), "+f"(sum[t][3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[t][0]), "r"(right[t][1]));
#else
  struct Brought {
    float (*sum)[4];
    const std::uint32_t (*left)[4];
    const std::uint32_t (*right)[kTiles][2];
  } brought{sum, &left, &right};
  const auto half = [](std::uint32_t two, int e) {
    return float_from_bfloat16(static_cast<std::uint16_t>(two >> (16 * e)));
  };
  block.together(brought, [&half](const auto& lanes) {
    float a[16][16], b[16][kTiles * 8];
    for (int lane = 0; lane < kWarp; ++lane)
      for (int e = 0; e < 2; ++e) {
        const Brought& of = *lanes[static_cast<std::size_t>(lane)];
        for (int r = 0; r < 4; ++r) {
          const Element at = left_element(lane, r, e);
          a[at.row][at.column] = half((*of.left)[r], e);
        }
        for (int t = 0; t < kTiles; ++t)
          for (int r = 0; r < 2; ++r) {
            const Element at = right_element(lane, r, e);
            b[at.row][t * 8 + at.column] = half((*of.right)[t][r], e);
          }
      }
    float c[16][kTiles * 8] = {};
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 16; ++k)
        for (int j = 0; j < kTiles * 8; ++j) c[i][j] += a[i][k] * b[k][j];
    for (int lane = 0; lane < kWarp; ++lane)
      for (int t = 0; t < kTiles; ++t)
        for (int r = 0; r < 4; ++r) {
          const Element at = sum_element(lane, r);
          lanes[static_cast<std::size_t>(lane)]->sum[t][r] += c[at.row][t * 8 + at.column];
        }
  });
#endif
}

// sum (16 x kColumns) += rows own_row .. of `own` times rows of `walked`, transposed: over channels [0, channels),
// which both tiles have up to a whole step.
template <int kColumns, class Block, int kChannels>
LONGSTRIDE_DEVICE void multiply_rows(Block& block, float (&sum)[kColumns / 8][4],
                                     const SharedTile<bf16, kChannels>& own, int own_row,
                                     const SharedTile<bf16, kChannels>& walked, int channels) {
  LONGSTRIDE_UNROLL
  for (int c = 0; c < kChannels; c += kChannelStep) {
    if (c < channels) {
      std::uint32_t left[4], right[kColumns / 8][2];
      load_matrices<false>(block, own, own_row, c, LeftRow(), left);
      LONGSTRIDE_UNROLL
      for (int t = 0; t < kColumns / 8; t += 2) {
        std::uint32_t two[4];
        load_matrices<false>(block, walked, t * 8, c, RightRow(), two);
        right[t][0] = two[0], right[t][1] = two[1], right[t + 1][0] = two[2], right[t + 1][1] = two[3];
      }
      multiply<kColumns / 8>(block, sum, left, right);
    }
  }
}
template <int kColumns, class Block, int kChannels>
LONGSTRIDE_DEVICE void multiply_rows(Block& block, float (&sum)[kColumns / 8][4],
                                     const SharedTile<float, kChannels>& own, int own_row,
                                     const SharedTile<float, kChannels>& walked, int channels) {
  const int row = own_row + block.lane() / 4, column = block.lane() % 4 * 2;
  for (int c = 0; c < channels; c += 4) {
    const float *upper = own.at(row, c), *lower = own.at(row + 8, c);
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kColumns / 8; ++t) {
      const float *left = walked.at(t * 8 + column, c), *right = walked.at(t * 8 + column + 1, c);
      LONGSTRIDE_UNROLL
      for (int e = 0; e < 4; ++e) {
        sum[t][0] = fma(upper[e], left[e], sum[t][0]), sum[t][1] = fma(upper[e], right[e], sum[t][1]);
        sum[t][2] = fma(lower[e], left[e], sum[t][2]), sum[t][3] = fma(lower[e], right[e], sum[t][3]);
      }
    }
  }
}

// Memory of a warp in which the left operand of multiply_columns lies in float32: rows a few banks apart.
template <class A, int kColumns>
struct WarpPatch {
  static constexpr int kStride = kColumns + 4;
  static constexpr int kBytes = sizeof(A) == sizeof(float) ? kWarpRows * kStride * static_cast<int>(sizeof(float)) : 0;
};

// sum (16 x kChannels of the walked tile from channel `from` on) += left (16 x kColumns) x rows of `walked`. What lies
// from channel `channels` on is left out, up to whole steps.
template <int kColumns, int kSums, class Block, int kChannels>
LONGSTRIDE_DEVICE void multiply_columns(Block& block, float (&sum)[kSums / 8][4], const float (&left)[kColumns / 8][4],
                                        const SharedTile<bf16, kChannels>& walked, int from, int channels, float*) {
  LONGSTRIDE_UNROLL
  for (int k = 0; k < kColumns; k += 16) {
    const float(&a)[4] = left[k / 8], (&b)[4] = left[k / 8 + 1];
    const std::uint32_t halves[4] = {pack(a[0], a[1]), pack(a[2], a[3]), pack(b[0], b[1]), pack(b[2], b[3])};
    constexpr int kAtOnce = 32;  // channels
    LONGSTRIDE_UNROLL
    for (int c = 0; c < kSums; c += kAtOnce) {
      if (from + c < channels) {
        std::uint32_t right[kAtOnce / 8][2];
        LONGSTRIDE_UNROLL
        for (int t = 0; t < kAtOnce / 8; t += 2) {
          std::uint32_t two[4] = {};
          if (from + c + t * 8 < channels)
            load_matrices<true>(block, walked, k, from + c + t * 8, TransposedRow(), two);
          right[t][0] = two[0], right[t][1] = two[1], right[t + 1][0] = two[2], right[t + 1][1] = two[3];
        }
        multiply<kAtOnce / 8>(block, sum + c / 8, halves, right);
      }
    }
  }
}
template <int kColumns, int kSums, class Block, int kChannels>
LONGSTRIDE_DEVICE void multiply_columns(Block& block, float (&sum)[kSums / 8][4], const float (&left)[kColumns / 8][4],
                                        const SharedTile<float, kChannels>& walked, int from, int channels,
                                        float* patch) {
  constexpr int kStride = WarpPatch<float, kColumns>::kStride;
  const int row = block.lane() / 4, column = block.lane() % 4 * 2;
  float *upper = patch + row * kStride, *lower = upper + 8 * kStride;
  LONGSTRIDE_UNROLL
  for (int t = 0; t < kColumns / 8; ++t) {
    upper[t * 8 + column] = left[t][0], upper[t * 8 + column + 1] = left[t][1];
    lower[t * 8 + column] = left[t][2], lower[t * 8 + column + 1] = left[t][3];
  }
  block.sync_warp();
  for (int k = 0; k < kColumns; ++k) {
    const float a = upper[k], b = lower[k];
    LONGSTRIDE_UNROLL
    for (int t = 0; t < kSums / 8; ++t) {
      if (from + t * 8 < channels) {
        const float* right = walked.at(k, from + t * 8 + column);
        sum[t][0] = fma(a, right[0], sum[t][0]), sum[t][1] = fma(a, right[1], sum[t][1]);
        sum[t][2] = fma(b, right[0], sum[t][2]), sum[t][3] = fma(b, right[1], sum[t][3]);
      }
    }
  }
  block.sync_warp();  // the patch is free again
}

// Of a row's numbers, which four neighbouring lanes hold: their sum, or the largest.
template <class Block>
LONGSTRIDE_DEVICE float row_sum(Block& block, float x) {
  x += block.shuffle_xor(x, 1);
  return x + block.shuffle_xor(x, 2);
}
template <class Block>
LONGSTRIDE_DEVICE float row_max(Block& block, float x) {
  x = max(x, block.shuffle_xor(x, 1));
  return max(x, block.shuffle_xor(x, 2));
}

// Which columns a lane's two rows have: bit c % 32 of word c / 32. words: of each row of the warp (16), as many as
// there are, held by lanes: word w of row r by lane r + 16 * w.
template <int kColumns>
struct RowMasks {
  static constexpr int kWords = (kColumns + 31) / 32;
  static_assert(kWords <= 2);
  std::uint32_t upper[kWords], lower[kWords];

  template <class Block>
  LONGSTRIDE_DEVICE RowMasks(Block& block, std::uint32_t own) {
    LONGSTRIDE_UNROLL
    for (int w = 0; w < kWords; ++w) {
      upper[w] = block.shuffle(own, block.lane() / 4 + 16 * w);
      lower[w] = block.shuffle(own, block.lane() / 4 + 8 + 16 * w);
    }
  }
  // Of sum[t][r].
  LONGSTRIDE_DEVICE bool has(int lane, int t, int r) const {
    const int column = t % 4 * 8 + lane % 4 * 2 + r % 2;
    return ((r < 2 ? upper[t / 4] : lower[t / 4]) >> column & 1) != 0;
  }
  // Of the two rows' column, which may be a number that only the card knows: no array is looked up with it.
  LONGSTRIDE_DEVICE bool upper_has(int column) const { return (word(upper, column) >> (column % 32) & 1) != 0; }
  LONGSTRIDE_DEVICE bool lower_has(int column) const { return (word(lower, column) >> (column % 32) & 1) != 0; }

 private:
  static LONGSTRIDE_DEVICE std::uint32_t word(const std::uint32_t (&words)[kWords], int column) {
    return column < 32 ? words[0] : words[kWords - 1];
  }
};

}  // namespace longstride::cuda
