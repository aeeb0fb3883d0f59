// Some steps of several processes that train together, by the trainer alone, and what they come to.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "longstride/file.h"
#include "ops/backend.h"
#include "parallel/world.h"
#include "train/trainer.h"

namespace longstride {

struct Trained {
  std::string files;  // of the checkpoint
  std::vector<double> bits, norms;
};

inline std::string text_that_repeats_itself(std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += "a text that repeats itself " + std::to_string(text.size()) + "\n";
  return text;
}

// What each process of `world` does: steps from the beginning, or from the checkpoint of step `first` that lies in
// `folder`; one is saved there. The first process puts losses and norms into `all`.
inline void train_steps(World& world, Backend& backend, const Config& config, const std::string& folder,
                        std::int64_t first, std::int64_t steps, Trained& all) {
  const Dataset data(config.data);
  const DType type = config.training.precision == Precision::float32 ? DType::float32 : DType::bfloat16;
  TrainState state(backend, config.model, config.training, type, world);
  Progress progress;
  if (first == 0)
    state.initialise(5);
  else
    progress = state.load(folder);
  world.broadcast(&progress.step, sizeof progress.step);  // all have read before the first one writes
  EXPECT_EQ(progress.step, first);
  Trainer trainer(backend, config, data, state, world);
  for (std::int64_t step = 0; step < steps; ++step) {
    const Trainer::Result result = trainer.step(progress, 0.01);
    EXPECT_FALSE(result.skipped);
    if (world.rank() != 0) continue;
    all.bits.push_back(result.loss_bits);
    all.norms.push_back(result.gradient_norm);
  }
  {
    const TrainState::Averaged averaged(state);  // there and back
  }
  state.save(folder, config, progress);
}

// The checkpoint that they leave in `folder`.
inline std::string checkpoint_bytes(const std::string& folder) {
  return read_text(folder + "/model.safetensors") + read_text(folder + "/state.safetensors");
}

}  // namespace longstride
