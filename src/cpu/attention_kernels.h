// What attention's drivers and its kernels (one table an instruction set) hand to each other. Everything is float
// words: a float, or a pair of bfloat16 where the instruction set multiplies those. Blocks of queries lie transposed, a
// query a lane, so that maxima and sums over keys are vertical.
#pragma once

#include <cstdint>

#include "cpu/attention_prefetch.h"
#include "ops/ops.h"
#include "pattern/tiles.h"

namespace longstride::cpu {

inline constexpr std::int64_t kPad = 16;  // words: rows of packed tiles are multiples of it
inline constexpr int kKeyGroup = 16;      // keys whose scores are in flight at a time; even
inline constexpr float kLog2e = 1.44269504f, kLn2 = 0.693147181f;

inline constexpr std::int64_t padded(std::int64_t words) { return (words + kPad - 1) / kPad * kPad; }

// One tile of keys for one block of queries. t: key in the tile, u: query in the block, d: channel.
struct ForwardTile {
  int lanes = 0;  // queries up to a whole vector
  int depth = 0;  // words of Dq channels
  int Dv = 0;
  float scale = 0;            // with log2(e): the softmax is in powers of two
  float* q = nullptr;         // words (depth, kTileQueries)
  float* out = nullptr;       // (Dv, kTileQueries) sum of 2^(score - maximum) * value, in the lanes of `started`
  std::uint64_t started = 0;  // bit u: lane u of out holds a sum; the others hold nothing
  float* maximum = nullptr;   // (kTileQueries) of the scores seen, or a little below it
  float* sum = nullptr;       // (kTileQueries) of 2^(score - maximum)

  int keys = 0;
  const std::uint64_t* visible = nullptr;  // (keys), see Tile; nullptr: whole
  float* k = nullptr;                      // words (keys, padded(depth))
  float* v = nullptr;                      // words (keys or pairs of keys, padded(Dv))
  bool exact = false;                      // values that are not finite stay out of queries that do not read them; slow

  Prefetch* prefetch = nullptr;  // never null while the tile is read
  float* scores = nullptr;       // (kKeyGroup, kTileQueries)
  float* weights = nullptr;      // words (kTileKeys, kTileQueries)
};

// dS = P * (dP - delta);  dv += P^T dout;  dk += dS^T q;  dq += dS k, the last two still without scale.
struct BackwardTile {
  int lanes = 0;
  int queries = 0;
  int depth = 0, depth_v = 0;  // words of Dq and of Dv channels
  int Dq = 0, Dv = 0;
  float scale = 0;             // with log2(e)
  float* q = nullptr;          // words (depth, kTileQueries)
  float* dout = nullptr;       // words (depth_v, kTileQueries)
  float* q_rows = nullptr;     // words (queries or pairs of queries, padded(Dq))
  float* dout_rows = nullptr;  // words (queries or pairs of queries, padded(Dv))
  float* lse = nullptr;        // (kTileQueries) in powers of two; +inf where a lane has no query or reads nothing
  float* delta = nullptr;      // (kTileQueries)
  float* dq = nullptr;         // (Dq, kTileQueries)

  Span span;                               // of the keys; its positions are rows of dk and dv
  const std::uint64_t* visible = nullptr;  // nullptr: whole
  float* k = nullptr;                      // words (keys, padded(depth))
  float* k_pairs = nullptr;                // words (keys or pairs of keys, padded(Dq))
  float* v = nullptr;                      // words (keys, padded(depth_v))
  float* dk = nullptr;                     // (rows, padded(Dq))
  float* dv = nullptr;                     // (rows, padded(Dv))

  Prefetch* prefetch = nullptr;  // never null while the tile is read
  float* scores = nullptr;       // (kKeyGroup, kTileQueries)
  float* dp = nullptr;           // (kKeyGroup, kTileQueries) dout . v
  float* p_rows = nullptr;       // words (kTileKeys, kTileQueries): neighbours in a word are queries
  float* ds_rows = nullptr;      // the same
  float* ds_pairs = nullptr;     // words (kTileKeys, kTileQueries): neighbours in a word are keys
};

using RowPointers = const char* const*;  // first channel of a head in each of a span's rows

// For one instruction set and one type of matrices.
struct AttentionKernels {
  int vector_lanes;
  bool paired;  // words are pairs of bfloat16
  // Channels [0, D) of `count` rows, zeros up to whole vectors:
  void (*pack_lanes)(RowPointers rows, int count, int D, float* to);  // words (words of D, kTileQueries), transposed
  void (*pack_rows)(RowPointers rows, int count, int D, float* to);   // words (count, padded(words of D))
  void (*pack_pairs)(RowPointers rows, int count, int D, float* to);  // words (count or its half, padded(D))
  // (D, kTileQueries) times factor (kTileQueries) to rows of the matrices' type or of floats. False if one is not
  // finite.
  bool (*unpack_lanes)(const float* from, const float* factor, int count, int D, char* const* rows, bool to_float);
  // The reverse, of float rows.
  void (*pack_float_lanes)(RowPointers rows, int count, int D, float* to);
  // A row of float sums between sweeps, exactly: floats lie in `high`, a row of the matrix that the sums are for; of
  // bfloat16 it takes the upper half of each float, and `low` the lower half.
  void (*store_sums)(const float* from, int D, char* high, char* low);
  void (*load_sums)(const char* high, const char* low, int D, float* to);
};
struct ForwardKernels {
  AttentionKernels rows;
  void (*tile)(ForwardTile&);
  // Ends a softmax: factor = 1 / sum, lse; 0 and -inf where nothing was read.
  void (*finish)(ForwardTile&, float* factor, float* lse);
  bool (*finite)(const ForwardTile&);  // every sum of values
};
struct BackwardKernels {
  AttentionKernels rows;
  void (*tile)(const BackwardTile&);
  // delta[u] = sum over channels of out * dout.
  void (*delta)(RowPointers out, RowPointers dout, int count, int Dv, float* delta);
  // to = factor * from, a row.
  void (*scale_row)(const float* from, float factor, int D, char* to);
};

}  // namespace longstride::cpu
