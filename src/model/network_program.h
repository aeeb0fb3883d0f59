// The passes of the network of docs/model.md, section 2, over whole sequences, as programs: loss alone, loss and
// gradients, logits.
//
// The residual stream is float32; activations A are float32 or bfloat16. With recomputation only the inputs of blocks
// are kept, and a block's activations are made again, to the same bits, when the backward pass reaches it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "longstride/config.h"
#include "model/block.h"
#include "model/tilings.h"
#include "model/weights.h"
#include "ops/program.h"

namespace longstride {

struct NetworkShape {
  std::int64_t batch = 1;   // B, sequences at most
  std::int64_t tokens = 0;  // T, at most the model's context
  DType type = DType::float32;
  bool training = false;   // backward too
  bool recompute = false;  // of blocks, in the backward pass
  std::int64_t rows_at_once = kRowsAtOnce;
  float dropout = 0;  // rate, of training passes; of all passes where there is no training
  std::int64_t dropout_seed = 0;
};

// Where a training pass leaves what lasts longer than itself.
struct TrainingOutputs {
  Weights gradients;   // added to
  Array<double> bits;  // (1), optional: the pass's losses in bits are added
};

struct NetworkProgram {
  Program program;
  Array<std::int32_t> tokens, targets;  // (N): the token before each position, -1 where none; the scored token or -1
  Array<std::int32_t> hash_rows;        // (hash orders, N)
  Array<float> losses;                  // (N) nats
  Matrix logits;                        // (N, V) float32
  std::vector<std::size_t> attentions;  // (L) which operations they are
};

// batch: sequences of this program, at most shape.batch. The watched program has a Mark after every attention.
NetworkProgram loss_program(const ModelConfig& model, const NetworkShape& shape, std::int64_t batch,
                            const Weights& weights, const HeadTilings& tilings);
NetworkProgram logits_program(const ModelConfig& model, const NetworkShape& shape, std::int64_t batch,
                              const Weights& weights, const HeadTilings& tilings);
NetworkProgram watched_program(const ModelConfig& model, const NetworkShape& shape, const Weights& weights,
                               const HeadTilings& tilings);
// Gradients become final block by block, from the last to the first: a Mark says when.
NetworkProgram training_program(const ModelConfig& model, const NetworkShape& shape, const Weights& weights,
                                const TrainingOutputs& outputs, const HeadTilings& tilings);

}  // namespace longstride
