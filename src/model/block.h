// One residual block of docs/model.md, section 2, as operations of a program: forward beside backward. Training,
// evaluation, reading a prompt and decoding are programs over it; they differ in how many rows there are and in which
// attention stands between enter and leave.
//
//   h_k = h_before + dropout(branch_before);  qkv = norm(h_k) Wqkv                      enter
//   attended = attention(qkv)
//   h_mid = h_k + dropout(attended Wp);  branch = f(norm(h_mid) W1) W2                  leave
//
// What is between two attentions is row by row, and may be added some rows at a time; buffers that hold no more rows
// than are at work at a time are written anew for each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "longstride/config.h"
#include "model/weights.h"
#include "ops/program.h"

namespace longstride {

inline constexpr float kNormEps = 1e-5f;       // of a block's norms
inline constexpr float kFinalNormEps = 1e-6f;  // of the last one (DistAug)

// What lies between two attentions is done row by row, so many rows at once: their hidden activations, the widest of
// all, then take little memory however long the context. Fixed, because sums of gradients are made in this order; many,
// because each time brings the weights into oneDNN's order again.
inline constexpr std::int64_t kRowsAtOnce = 16384;

struct Rows {  // [first, first + count) of all rows of a pass
  std::int64_t first = 0, count = 0;
};

// All rows of a pass, and what is the same in all blocks of it.
struct BlockShape {
  std::int64_t N = 0;             // rows
  std::int64_t rows_at_once = 0;  // that buffers between attentions hold at least
  DType type = DType::float32;
  Dropout dropout;  // rate and seed
};

// What of a block outlives its pass: nothing, where it works on the residual stream in place; what the backward pass
// makes the rest from; or all that the backward pass reads.
enum class Keeping { nothing, input, all };

// Views of what a block reads and writes. Matrices have N rows, or rows_at_once where they are not kept.
struct BlockViews {
  Matrix h;  // (N, C) float32: the block's input
  Array<float> mean1, rstd1;
  Matrix y1;         // A
  Matrix qkv;        // (N, 2 Cq + C) A
  Matrix attended;   // (N, C) A
  Array<float> lse;  // (B, H, T), of whole sequences
  Matrix h_mid;      // (N, C) float32
  Array<float> mean2, rstd2;
  Matrix y2;           // A
  Matrix pre, hidden;  // (., F) A; pre in training only
  Matrix branch;       // (rows at once, C) A: of the attention, then of the feedforward half
};

// Buffers of a block's own for all but its input, and for queries, keys and values where none are given.
BlockViews block_views(Program& program, const ModelConfig& model, const BlockShape& shape, Keeping keeping,
                       const Matrix& h, const Matrix& qkv = {});

struct BlockGradients {
  Matrix dh;       // (N, C) float32, of the residual stream, in place
  Matrix dbranch;  // (N, C) A: of the block's output, then of its attention's, then of the block below
  Matrix dqkv;     // (N, 2 Cq + C) A
  Matrix dhidden, dy2, dprojection, dy1;  // rows at once
};

// The three that lie side by side in rows of 2 Cq + C channels.
struct QueriesKeysValues {
  Matrix q, k, v;
};
QueriesKeysValues split(const ModelConfig& model, const Matrix& side_by_side);

// What a norm works on: h, which it reads or makes, its output y, and its statistics.
struct NormViews {
  Matrix h, y;
  Array<float> mean, rstd;
};

class Block {
 public:
  Block(const ModelConfig& model, const Weights& weights, std::int64_t index, const BlockShape& shape,
        const BlockViews& views);

  const BlockViews& views() const { return at_; }

  // below: the block before this one, whose residual stream and branch are added; nullptr where h is there already, of
  // the first block, or from a pass before.
  void enter(Program& program, const Block* below, Rows rows) const;
  void leave(Program& program, Rows rows) const;
  // h = h_mid + dropout(branch); y = norm(h): what the loss or the next product reads. Of the last block.
  ResidualNorm final_norm(const NormViews& at, Rows rows) const;
  // From the gradient of y, in dbranch, to those of h_mid and branch.
  ResidualNormBackward final_norm_backward(const NormViews& at, const Weights& gradients, const BlockGradients& d,
                                           Rows rows) const;

  Attention attention(std::int64_t B, std::int64_t T, const Tiling* const* tilings) const;
  DecodeAttention decode_attention() const;  // the cache is left to the caller

  // Backward, from the gradient of the block's output to that of its attention's, in dbranch. kept: what leave left is
  // there; else it is made again, from h and attended, or from h_mid where that is there (mid).
  enum class Kept { all, mid, none };
  void leave_backward(Program& program, const Weights& gradients, const BlockGradients& d, Rows rows, Kept kept) const;
  AttentionBackward attention_backward(const Attention& forward, const BlockGradients& d) const;
  // From the gradients of queries, keys and values to those of the block's input and of the branch below.
  void enter_backward(Program& program, const Weights& gradients, const BlockGradients& d, Rows rows, Kept kept) const;

 private:
  Matrix some(const Matrix& m, Rows rows) const { return m.rows_from(m.rows < shape_.N ? 0 : rows.first, rows.count); }
  Linear product(const Matrix& x, std::int64_t weight, std::int64_t bias, const Matrix& y) const;
  Linear qkv(Rows rows) const;
  Linear projection(Rows rows) const;
  Linear expand(Rows rows) const;
  Linear contract(Rows rows) const;
  Dropout dropout(std::int64_t block, int site, Rows rows) const;
  ResidualNorm norm(const NormViews& at, std::int64_t weight, std::int64_t bias, float eps, Dropout dropout,
                    Rows rows) const;
  ResidualNorm attention_norm(const Block* below, Rows rows) const;
  ResidualNorm feedforward_norm(Rows rows, bool again) const;
  ResidualNormBackward norm_backward(const ResidualNorm& forward, const Weights& gradients, std::int64_t weight,
                                     std::int64_t bias, const Matrix& dy, const BlockGradients& d, Rows rows) const;

  const ModelConfig& model_;
  Weights weights_;
  const BlockOffsets& offsets_;
  std::int64_t index_;
  BlockShape shape_;
  BlockViews at_;
};

// Calls work(rows) for all rows of a pass, some at a time.
template <class Work>
void by_rows(const BlockShape& shape, const Work& work) {
  for (std::int64_t first = 0; first < shape.N; first += shape.rows_at_once)
    work(Rows{first, std::min(shape.rows_at_once, shape.N - first)});
}

// All blocks of a model in order. attend(block, index) adds what stands between enter and leave; finish(last, rows)
// what follows the last block.
template <class Attend, class Finish>
void add_blocks(Program& program, const std::deque<Block>& blocks, const BlockShape& shape, const Attend& attend,
                const Finish& finish) {
  by_rows(shape, [&](Rows rows) { blocks.front().enter(program, nullptr, rows); });
  for (std::size_t index = 0; index < blocks.size(); ++index) {
    const Block& block = blocks[index];
    attend(block, static_cast<std::int64_t>(index));
    by_rows(shape, [&](Rows rows) {
      block.leave(program, rows);
      if (index + 1 < blocks.size())
        blocks[index + 1].enter(program, &block, rows);
      else
        finish(block, rows);
    });
  }
}

}  // namespace longstride
