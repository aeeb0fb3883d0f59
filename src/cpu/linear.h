// Dense products: linear and its two backward twins (ops.h), and the loss over the vocabulary, which is made of them.
// Each is made once for its shapes, addresses not looked at, and runs often: on operands of those shapes, wherever they
// lie. Scratch memory of a run comes from the workspace.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "cpu/packed_weights.h"
#include "cpu/product.h"
#include "cpu/row_product.h"
#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride::cpu {

// Products of more rows pack their weights each time. With enwik8's shapes on two cores, packing took 10 % of a product
// of 512 rows, 3.5 % of one of 2,048 and 0.6 % of one of 12,000; what is kept takes as much memory as the weights.
inline constexpr std::int64_t kKeptRows = 2048;

class LinearForward {
 public:
  LinearForward(const Linear& op, Products& products);
  std::int64_t workspace_bytes() const;
  // Weights stay packed from run to run, where packing takes a large share of a run's time.
  void keep(const Linear& op, PackedWeights& packed);
  void run(const Linear& op, Workspace& workspace) const;

 private:
  std::optional<RowProduct> product_;  // none: few rows (cpu/few_rows.h)
  std::shared_ptr<PackedWeights::Copy> kept_;
  std::int64_t scratch_bytes_ = 0;  // a thread's, of few rows
};

class LinearData {
 public:
  LinearData(const LinearBackwardData& op, Products& products);
  std::int64_t workspace_bytes() const { return product_.workspace_bytes(); }
  void run(const LinearBackwardData& op, Workspace& workspace) const;

 private:
  RowProduct product_;
};

class LinearWeights {
 public:
  LinearWeights(const LinearBackwardWeights& op, Products& products);
  std::int64_t workspace_bytes() const;
  void run(const LinearBackwardWeights& op, Workspace& workspace) const;

 private:
  struct Run;
  void make(int cut, const LinearBackwardWeights& op, Products& products);
  std::int64_t thread_bytes() const { return scratch_bytes_ + dy_bytes_ + x_bytes_; }

  std::int64_t N_, M_, K_;
  std::int64_t tile_m_, tile_k_;
  std::int64_t down_ = 0, across_ = 0, segments_ = 0;  // their numbers
  std::int64_t segment_rows_ = 0;                      // a multiple of a chunk's rows
  bool widened_ = false;
  Product* products_[8] = {};
  std::int64_t scratch_bytes_ = 0, dy_bytes_ = 0, x_bytes_ = 0;  // a thread
  std::int64_t sums_count_ = 0;                                  // floats a segment: dw (M, stride of dw), dbias (M)
};

class Loss {
 public:
  Loss(const VocabularyLoss& op, Products& products);
  std::int64_t workspace_bytes() const;
  void run(const VocabularyLoss& op, const StepInputs& inputs, Workspace& workspace) const;

 private:
  std::int64_t rows_;  // a block
  std::int64_t logits_bytes_ = 0, dlogits_bytes_ = 0;
  RowProduct forward_;
  std::optional<RowProduct> data_;
  std::optional<LinearWeights> weights_, last_weights_;  // of a block, and of the rows left
};

}  // namespace longstride::cpu
