// Which buffers a network needs and when each is alive, from configuration and shape alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "longstride/config.h"
#include "model/memory.h"
#include "ops/tensor.h"

namespace longstride {

// What lies between two attentions is done row by row, so many rows at once: their hidden activations, the widest of
// all, then take little memory however long the context. Fixed, because sums of gradients are made in this order; many,
// because each time brings the weights into oneDNN's order again.
inline constexpr std::int64_t kRowsAtOnce = 16384;

struct NetworkShape {
  std::int64_t batch = 1;   // B, sequences at most
  std::int64_t tokens = 0;  // T, at most the model's context
  DType type = DType::float32;
  bool training = false;   // backward too
  bool recompute = false;  // of blocks, in the backward pass
  std::int64_t rows_at_once = kRowsAtOnce;
};

class NetworkMemory {
 public:
  // Buffers of one block: h its input, h_mid after attention; statistics of the norms; y their outputs; qkv the three
  // side by side; pre and hidden around the activation. Blocks share buffers where nothing has to be kept.
  struct Layer {
    std::size_t h, mean1, rstd1, y1, qkv, attended, lse, h_mid, mean2, rstd2, y2, pre, hidden;
  };

  NetworkMemory(const ModelConfig& model, const NetworkShape& shape);

  const NetworkShape& shape() const { return shape_; }
  const MemoryPlan& plan() const { return plan_; }
  const Layer& layer(std::int64_t block) const { return layers_[static_cast<std::size_t>(block)]; }

  std::int64_t rows_at_once() const { return std::min(shape_.rows_at_once, shape_.batch * shape_.tokens); }
  // True of a buffer of rows_at_once() rows, false of one of all rows.
  bool holds_some_rows(std::size_t buffer) const { return some_rows_[buffer]; }

  std::size_t tokens = 0, targets = 0, losses = 0;  // (N) int32, int32, float32
  std::size_t hash_rows = 0;                        // (hash orders, N) int32
  std::size_t branch = 0;                           // (some rows, C) A: output of a block's half, before it is added
  std::size_t final_h = 0, final_mean = 0, final_rstd = 0, final_y = 0;
  // Gradients, training only.
  std::size_t dh = 0;  // (N, C) float32, of the residual stream
  // (N, C) A, of a block's output, which becomes that of its attention's row by row, and then of the output of the
  // block below. First of the final norm's output.
  std::size_t dbranch = 0, dattended = 0;
  std::size_t dhidden = 0, dy2 = 0, dprojection = 0, dqkv = 0, dy1 = 0;

 private:
  void plan_evaluation();
  void plan_training();
  void plan_gradients();
  Layer plan_layer(const char* which, std::size_t h, bool kept);
  std::size_t add(const char* name, std::int64_t cols, std::int64_t element_bytes, int first, int last);
  std::size_t add_some_rows(const char* name, std::int64_t cols, std::int64_t element_bytes, int first, int last);

  ModelConfig model_;
  NetworkShape shape_;
  MemoryPlan plan_;
  std::vector<bool> some_rows_;  // a buffer
  std::vector<Layer> layers_;
};

}  // namespace longstride
