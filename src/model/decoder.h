// The network of docs/model.md, section 2, one token at a time (section 5): keys and values of earlier tokens are kept
// where each head's pattern needs them (pattern/cache.h), so that work per token and head is |S_i| and memory follows
// the pattern. Rule: the logits equal Network::logits at every position, to float32 rounding.
//
// Products run in the activations' type, which the cache has too; sums, scores and softmax are float32 in either.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "longstride/config.h"
#include "model/memory.h"
#include "model/network.h"
#include "ops/backend.h"
#include "pattern/cache.h"

namespace longstride {

struct DecoderShape {
  std::int64_t sequences = 1;  // B, decoded side by side, all at the same position
  std::int64_t length = 0;     // positions at most, at most the model's context
  DType type = DType::float32;
};

// What a decoder of this shape keeps, from configuration and shape alone.
struct DecoderMemory {
  DecoderMemory(const ModelConfig& model, const DecoderShape& shape);

  // Distinct patterns of the model, resolved; heads of one pattern share slot lists, whatever their block.
  std::vector<Pattern> patterns;
  std::vector<CacheLayout> layouts;               // one a pattern
  std::vector<std::vector<std::int32_t>> groups;  // (blocks of the layout's cycle, H): index into patterns
  std::vector<std::int64_t> slots;                // (blocks of the cycle): of all heads of a block
  std::int64_t most_writes = 0;                   // slots that one position is written to, over all patterns
  std::int64_t most_reads = 0;                    // slots that one query reads, over all patterns

  MemoryPlan plan;
  std::vector<std::size_t> keys, values;                             // (layers) (B, slots, Dq), (B, slots, Dv) A
  std::int64_t recent = 0;                                           // tokens before a position that embeddings read
  std::size_t tokens = 0;                                            // (B, recent) int32, the newest last
  std::size_t hash_rows = 0;                                         // (hash orders, B) int32
  std::size_t h = 0, mean = 0, rstd = 0;                             // (B, C), (B), (B) float32
  std::size_t y = 0;                                                 // (B, C) A
  std::size_t qkv = 0;                                               // (B, 2 Cq + C) A
  std::size_t attended = 0;                                          // (B, C) A
  std::size_t branch = 0;                                            // (B, C) A
  std::size_t hidden = 0;                                            // (B, F) A
  std::size_t logits = 0;                                            // (B, V) float32
  std::size_t first_slot = 0, group = 0;                             // (blocks of the cycle, H) int64, int32
  std::size_t write = 0, write_begin = 0, read = 0, read_begin = 0;  // as DecodeAttention has them
};

class Decoder {
 public:
  // Errors: invalid_argument where the shape cannot be, exhausted where memory does not suffice.
  Decoder(Backend& backend, const ModelConfig& model, const DecoderShape& shape);

  // Decodes position(): tokens_before (B), host memory, are the tokens before it; -1 for each at position 0.
  // Returns the logits of the token at that position, (B, V) in host memory, valid until the next call; position() is
  // then one more. Error invalid_argument beyond shape().length.
  const float* step(const Weights& weights, const std::int32_t* tokens_before);

  // As restart() and a step for each position 0..count, but read at once, at the speed of training: `tokens` (B,
  // count), host memory, stand at positions 0..count-1. Returns the logits of position `count`, as step does;
  // position() is then count + 1. Sequences that begin alike are read once. Takes the memory of a Network of count + 1
  // tokens while it runs. Errors: invalid_argument where count is not in [0, length) or a token is none, exhausted.
  const float* prefill(const Weights& weights, const std::int32_t* tokens, std::int64_t count);

  std::int64_t position() const { return position_; }  // positions decoded so far
  void restart() { position_ = 0; }                    // forgets all tokens
  // Goes on at `position` as if all before it had been decoded: zeros where it lies ahead of position(), and what was
  // overwritten since is not brought back. For measuring steps, whose time depends on no value.
  void assume(std::int64_t position);

  const DecoderShape& shape() const { return shape_; }
  const ModelConfig& model() const { return model_; }
  const DecoderMemory& memory() const { return memory_; }

  // What a decoder of this shape would hold, before it is made: in all, and by name ("decoder cache", ...).
  static std::int64_t bytes(const ModelConfig& model, const DecoderShape& shape);
  static std::vector<std::pair<std::string, std::int64_t>> memory(const ModelConfig& model, const DecoderShape& shape);

 private:
  void* at(std::size_t buffer) const;
  Matrix activation(std::size_t buffer, std::int64_t cols) const;
  Matrix floats(std::size_t buffer, std::int64_t cols) const;

  // Each operation is put together in one place, for steps and for the workspace.
  Linear product(const Weights& w, Matrix x, std::int64_t weight, std::int64_t bias, Matrix y) const;
  Linear qkv_product(const Weights& w, const BlockOffsets& block) const;
  Linear projection_product(const Weights& w, const BlockOffsets& block) const;
  Linear expand_product(const Weights& w, const BlockOffsets& block) const;
  Linear contract_product(const Weights& w, const BlockOffsets& block) const;
  Linear output_product(const Weights& w) const;
  DecodeAttention attention_of(std::int64_t block) const;

  void load_heads();
  void load_tokens(const std::int32_t* tokens_before);
  void load_slots();
  ResidualNorm norm(const Weights& w, std::int64_t weight, std::int64_t bias, float eps, bool add_branch) const;
  StoreKeysValues store_of(std::int64_t block, std::int64_t sequence, const Matrix& k, const Matrix& v) const;
  void add_block(const Weights& w, std::int64_t block);
  void write_program(const Weights& w);

  Backend& backend_;
  ModelConfig model_;
  DecoderShape shape_;
  ParameterTable table_;
  DecoderMemory memory_;
  Buffer arena_;
  std::int64_t position_ = 0;
  std::vector<Operation> program_;  // of a step, the embedding first; of the weights that it was written for
  Weights written_for_;
  std::vector<std::int32_t> hash_rows_;                 // host (hash orders, B)
  std::vector<std::int32_t> tokens_;                    // host (B, recent): those before position_; -1: none
  std::vector<std::int32_t> write_, read_;              // host, of the position at hand
  std::vector<std::int64_t> write_begin_, read_begin_;  // (patterns + 1)
  std::vector<float> logits_;                           // (B, V) host
};

}  // namespace longstride
