// What a Model holds (longstride/model.h): a backend, the weights in its memory, and the last network made of them.
// Model's functions are defined in the room that knows how: logits here, scores in evaluate, samples in sample.
#pragma once

#include <memory>
#include <string>

#include "io/system.h"
#include "longstride/config.h"
#include "model/checkpoint.h"
#include "model/network.h"
#include "model/precision.h"
#include "ops/backend.h"

namespace longstride {

struct HeldModel {
  // path: of a .safetensors file. Errors: as load_model; unavailable where this build lacks the device.
  HeldModel(const std::string& path, Device device);
  HeldModel(const HeldModel&) = delete;
  HeldModel& operator=(const HeldModel&) = delete;

  const Config& config() const { return loaded.config; }
  const ModelConfig& model() const { return loaded.config.model; }

  // bfloat16 where that was asked for, or nothing and the machine multiplies it natively; and why.
  PrecisionChoice choice_of(Precision asked) const { return resolved(asked, *backend); }
  // The same; where nothing was asked for, what the run trained with comes first.
  PrecisionChoice choice_as_trained(Precision asked) const;
  DType type_as_trained(Precision asked) const { return type_of(choice_as_trained(asked).precision); }

  // The rounded copy is made when it is first asked for.
  Weights weights(DType type);

  // Passes over sequences of `tokens` tokens, at most `batch` of them at once. Valid until the next call: one network
  // is kept, and made anew where its shape is another.
  Network& network(std::int64_t batch, std::int64_t tokens, DType type);

  // Of the file that was loaded, also where another stands under its name by now. Computed when first asked for.
  const std::string& sha256();

  // Throws invalid_argument where one is outside the vocabulary; who: the beginning of the sentence.
  void check_tokens(const std::string& who, std::span<const std::int32_t> tokens) const;

  std::unique_ptr<Backend> backend;
  Descriptor file;  // open, so that its bytes stay there
  LoadedModel loaded;
  DType type = DType::float32;  // of what a Model computes without being asked for another

 private:
  std::unique_ptr<Network> network_;
  std::string sha256_;
};

}  // namespace longstride
