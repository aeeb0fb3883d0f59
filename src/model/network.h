// The network of docs/model.md, section 2: whole sequences forward and backward, explicit, in operations of ops.h only.
//
// Residual stream float32; activations A float32 or bfloat16. With recomputation only the inputs of blocks are kept
// and a block's activations are made again, to the same bits, when the backward pass reaches it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "longstride/config.h"
#include "model/memory.h"
#include "model/network_memory.h"
#include "model/parameters.h"
#include "ops/backend.h"
#include "pattern/tiles.h"

namespace longstride {

inline constexpr float kNormEps = 1e-5f;       // of a block's norms
inline constexpr float kFinalNormEps = 1e-6f;  // of the last one (DistAug)

// Values of all parameters in a backend's memory, laid out as the table says.
struct Weights {
  const ParameterTable* table = nullptr;
  const float* f32 = nullptr;
  const std::uint16_t* bf16 = nullptr;  // the same rounded; needed where activations are bfloat16

  Matrix matrix(std::int64_t offset, std::int64_t rows, std::int64_t cols, DType type) const;
  const float* vector(std::int64_t offset) const { return f32 == nullptr ? nullptr : f32 + offset; }
};

// Where position embeddings of a model begin and how positions index them: tokens and `out` are left to the caller.
Embed embedding_of(const ModelConfig& model, const Weights& weights);

// What one pass reads besides the weights. Host memory.
struct Pass {
  std::int64_t batch = 1;                // sequences, at most shape.batch
  const std::int32_t* tokens = nullptr;  // (batch, T) each from its position 0
  const std::uint8_t* scored = nullptr;  // (batch, T) 1: the token's loss counts; optional (all)
  std::int64_t dropout_seed = 0;
  std::int64_t dropout_step = 0;  // micro step: each training pass has its own
  float dropout = 0;              // rate; 0 outside training
  float gradient = 0;             // of the sum of losses in nats; forward_backward only
};

class Network {
 public:
  Network(Backend& backend, const ModelConfig& model, const NetworkShape& shape);

  // bits[b * T + t] = -log2 p(token t of sequence b | those before), 0 where not scored. Host memory (batch, T).
  void forward(const Weights& weights, const Pass& pass, float* bits);

  // The same, and adds the gradient of pass.gradient * sum of losses to `gradients` (the table's layout, the backend's
  // memory). Needs shape.training.
  void forward_backward(const Weights& weights, float* gradients, const Pass& pass, float* bits);

  // Logits of every position: (batch, T, V) float32, host memory, allocated by the call. For tests and inspection.
  std::vector<float> logits(const Weights& weights, const Pass& pass);

  // Logits of each sequence's last position, (batch, V) host memory. `keep` is given every block's attention once it is
  // asked for: q, k, v, out and lse hold, after Backend::wait, what they held in the pass, until it returns.
  using Keep = std::function<void(std::int64_t block, const Attention& attention)>;
  std::vector<float> last_logits(const Weights& weights, const Pass& pass, const Keep& keep);

  const NetworkShape& shape() const { return memory_.shape(); }

  // Before a network is made: bytes of its buffers, and of the backend's workspace under them.
  struct Bytes {
    std::int64_t activations = 0;
    std::int64_t workspace = 0;
  };
  static Bytes bytes(const Backend& backend, const ModelConfig& model, const NetworkShape& shape);

 private:
  using Layer = NetworkMemory::Layer;
  struct Rows {  // [first, first + count) of the N of a pass
    std::int64_t first = 0, count = 0;
  };
  Network(Backend* backend, const ModelConfig& model, const NetworkShape& shape);  // plans, allocates nothing

  Matrix buffer(std::size_t index, std::int64_t cols, DType type) const;
  float* floats(std::size_t index) const;
  const std::int32_t* indices(std::size_t index) const;
  Matrix residual(std::size_t index) const { return buffer(index, model_.width, DType::float32); }
  Matrix activation(std::size_t index, std::int64_t cols) const { return buffer(index, cols, shape().type); }
  // The same of some rows, also where the buffer holds no more than these.
  Matrix buffer(std::size_t index, std::int64_t cols, DType type, Rows rows) const;
  Matrix residual(std::size_t index, Rows rows) const { return buffer(index, model_.width, DType::float32, rows); }
  Matrix activation(std::size_t index, std::int64_t cols, Rows rows) const {
    return buffer(index, cols, shape().type, rows);
  }
  std::int64_t qkv_cols() const { return 2 * model_.query_width() + model_.width; }

  // Each operation is put together in one place, for passes and for planning.
  Linear qkv_product(const Weights& w, std::int64_t block, Rows rows) const;
  Linear projection_product(const Weights& w, std::int64_t block, Rows rows) const;
  Linear expand_product(const Weights& w, std::int64_t block, Rows rows) const;
  Linear contract_product(const Weights& w, std::int64_t block, Rows rows) const;
  Attention attention_of(std::int64_t block) const;
  AttentionBackward attention_backward_of(std::int64_t block) const;
  ResidualNorm attention_norm(const Weights& w, const Pass& pass, std::int64_t block, Rows rows) const;
  ResidualNorm feedforward_norm(const Weights& w, const Pass& pass, std::int64_t block, Rows rows) const;
  ResidualNorm final_norm(const Weights& w, const Pass& pass, Rows rows) const;
  ResidualNormBackward norm_backward(const ResidualNorm& forward, Matrix dy, float* gradients, std::int64_t weight,
                                     std::int64_t bias, Rows rows) const;
  VocabularyLoss loss_of(const Weights& w) const;
  Dropout dropout(const Pass& pass, std::int64_t block, int site, Rows rows) const;
  std::int64_t workspace_bytes() const;

  void load(const Pass& pass);
  void run_forward(const Weights& w, const Pass& pass);
  std::vector<float> logits_of(const Weights& w, const Matrix& rows);
  // Calls work(rows) for all rows of the pass, memory_.rows_at_once() at a time.
  template <typename Work>
  void by_rows(const Work& work) const {
    const std::int64_t all = batch_ * shape().tokens, most = memory_.rows_at_once();
    for (std::int64_t first = 0; first < all; first += most) work(Rows{first, std::min(most, all - first)});
  }
  void enter_block(const Weights& w, const ResidualNorm& norm, std::int64_t block, Rows rows);
  void leave_block(const Weights& w, const Pass& pass, std::int64_t block, Rows rows);
  void loss_backward(const Weights& w, float* gradients, const Pass& pass);
  void block_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block);
  void feedforward_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block, Rows rows);
  void qkv_backward(const Weights& w, float* gradients, const Pass& pass, std::int64_t block, Rows rows);
  void embedding_backward(const Weights& w, float* gradients);
  void product_backward(const Linear& forward, Matrix dy, Matrix dx, Matrix pre, float* dw, float* dbias);
  void store_bits(const Pass& pass, float* bits);

  Backend& backend_;
  ModelConfig model_;
  ParameterTable table_;
  NetworkMemory memory_;
  std::vector<std::unique_ptr<Tiling>> tilings_;          // distinct ones
  std::vector<std::vector<const Tiling*>> head_tilings_;  // (blocks of the layout's cycle, H)
  Buffer arena_;
  std::int64_t batch_ = 0;                       // sequences of the pass at hand; buffers are seen as batch_ * T rows
  const Keep* keep_ = nullptr;                   // of last_logits
  std::vector<std::int32_t> shifted_, targets_;  // (B, T) host: the token before each position; the scored token or -1
  std::vector<std::int32_t> hash_rows_;          // (orders, B, T) host
};

}  // namespace longstride
