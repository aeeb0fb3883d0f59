// The parameters of a network: one table of names, shapes, initialisation and decay. Allocation, checkpoints, the
// optimiser, counting and tests all read it (docs/model.md, sections 2 and 6).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longstride/config.h"

namespace longstride {

struct Parameter {
  std::string name;                 // as in a checkpoint
  std::vector<std::int64_t> shape;  // row-major, PyTorch's layout
  std::int64_t offset = 0;          // elements from the start of the store
  std::int64_t count = 0;           // elements
  double deviation = 0;             // of the normal distribution it starts from; 0: starts at `constant`
  float constant = 0;
  bool decay = false;    // weight decay applies: two dimensions and more, but no hash embeddings
  bool by_rows = false;  // rows that a step's tokens do not use keep values and moments: hash embeddings
  std::string part;      // "embeddings", "attention", "feedforward", "norms", "output": for counts by part
};

// Where the tensors of a block begin, in elements. Query, key and value follow one another without a gap, so that the
// three products are one: weights (2 Cq + C, C), biases (2 Cq + C).
struct BlockOffsets {
  std::int64_t attention_norm_weight, attention_norm_bias;
  std::int64_t qkv_weight, qkv_bias, projection_weight, projection_bias;
  std::int64_t feedforward_norm_weight, feedforward_norm_bias;
  std::int64_t expand_weight, expand_bias, contract_weight, contract_bias;
};

class ParameterTable {
 public:
  explicit ParameterTable(const ModelConfig& model);

  const std::vector<Parameter>& entries() const { return entries_; }
  const Parameter* find(std::string_view name) const;     // nullptr: none of that name
  std::int64_t count() const { return count_; }           // parameters
  std::int64_t store_elements() const { return store_; }  // with the gaps that alignment leaves; gaps hold 0

  std::int64_t start = 0, token_embedding = 0, token_convolution = 0;
  std::vector<std::int64_t> position_embeddings, hash_embeddings;
  std::vector<BlockOffsets> blocks;
  std::int64_t final_norm_weight = 0, final_norm_bias = 0, output_weight = 0;

 private:
  std::int64_t add(std::string name, std::vector<std::int64_t> shape, double deviation, float constant,
                   const char* part);
  void add_block(const ModelConfig& model, std::int64_t block);
  void align();
  std::vector<Parameter> entries_;
  std::int64_t count_ = 0;
  std::int64_t store_ = 0;
};

// The initial values of one entry's elements [first, first + count), first a multiple of 4: a function of (seed,
// parameter, element) alone.
void initialise(const ParameterTable& table, std::size_t index, std::int64_t seed, std::int64_t first,
                std::int64_t count, float* values);
// Those of all: (store_elements) floats. Gaps become 0.
void initialise(const ParameterTable& table, std::int64_t seed, float* store);

}  // namespace longstride
