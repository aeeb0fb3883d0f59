// The network over whole sequences: its passes compiled for a backend and run on tokens of the host.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "longstride/config.h"
#include "model/network_program.h"
#include "ops/buffer.h"

namespace longstride {

// What one pass reads besides the weights. Host memory.
struct Pass {
  std::int64_t batch = 1;                // sequences, at most shape.batch; trained on and watched exactly so many
  const std::int32_t* tokens = nullptr;  // (batch, T) each from its position 0
  const std::uint8_t* scored = nullptr;  // (batch, T) 1: the token's loss counts; optional (all)
  std::int64_t dropout_step = 0;         // micro step: each training pass has its own
  float gradient = 0;                    // of the sum of losses in nats; training only
};

class Network {
 public:
  // weights, and outputs with shape.training, stay where they are while this lives. Errors: invalid_argument,
  // exhausted.
  Network(Backend& backend, const ModelConfig& model, const NetworkShape& shape, const Weights& weights,
          const TrainingOutputs& outputs = {});

  // bits[b * T + t] = -log2 p(token t of sequence b | those before), 0 where not scored. Host memory (batch, T).
  void forward(const Pass& pass, float* bits);

  // Adds the gradient of pass.gradient * sum of losses to the outputs' gradients, and their bits to the outputs' bits.
  // at_mark: told which gradients are final, as they become so. bits as in forward, optional. Does not wait without.
  void forward_backward(const Pass& pass, float* bits = nullptr, const Executable::AtMark& at_mark = {});

  // Logits of every position: (batch, T, V) float32, host memory. Takes memory for them while it runs.
  std::vector<float> logits(const Pass& pass);

  // `look` is given every block's attention when it was computed: q, k, v, out and lse lie in the backend's memory as
  // they were in the pass, until it returns. What it throws ends the pass.
  using Look = std::function<void(std::int64_t block, const Attention& attention)>;
  void watch(const Pass& pass, const Look& look);

  const NetworkShape& shape() const { return shape_; }

  // Before a network is made: bytes of its buffers, and of the backend's workspace under them.
  struct Bytes {
    std::int64_t activations = 0;
    std::int64_t workspace = 0;
  };
  static Bytes bytes(Backend& backend, const ModelConfig& model, const NetworkShape& shape);

 private:
  struct Compiled {
    NetworkProgram made;  // its program has gone into the executable, which binds the views
    std::shared_ptr<Executable> executable;
  };
  static Compiled compile(NetworkProgram made, ProgramArena& arena);
  // That of so many sequences; compiled and bound when first asked for.
  Compiled& scoring(std::int64_t batch);
  void require_batch(const Pass& pass) const;
  void load(const Compiled& to, const Pass& pass);
  void store_bits(const Compiled& from, const Pass& pass, float* bits);

  Backend& backend_;
  ModelConfig model_;
  NetworkShape shape_;
  Weights weights_;
  HeadTilings tilings_;
  ProgramArena arena_;
  std::map<std::int64_t, Compiled> scoring_;
  Compiled training_, watched_;
  std::vector<std::int32_t> shifted_, targets_, hash_rows_;  // host, as in NetworkProgram
};

}  // namespace longstride
