// These tests give training gradients and losses that are not finite: nothing changes, and it is counted.
#include "train/state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "io/file.h"
#include "io/scratch.h"
#include "train/trained_steps.h"
#include "train/trainer.h"

namespace longstride {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// A small run in bfloat16 with an average and a hash embedding: every copy of the weights there is.
class State : public testing::Test {
 protected:
  State() {
    put(scratch_ / "text", text_that_repeats_itself(3000));
    config_ = read_config({R"x({"model": {"context": 30, "layers": 2, "width": 16, "heads": 2, "positions": [5, 6],
      "attention": "fixed(5,1)", "hash_orders": [2], "hash_buckets": 31}, "training": {"batch": 2, "ema": 0.9,
      "precision": "bfloat16", "recompute": "none"}})x"},
                          {"test"}, {"data.paths=[\"" + scratch_ / "text" + "\"]"});
    state_ = std::make_unique<TrainState>(*backend_, config_.model, config_.training, DType::bfloat16);
    state_->initialise(3);
  }

  // All that a checkpoint holds, and the rounded weights, which it does not.
  std::string bytes() const {
    state_->save(scratch_.path(), config_, {});
    std::string all = read_text(scratch_ / "model.safetensors") + read_text(scratch_ / "state.safetensors");
    std::vector<std::uint16_t> rounded(static_cast<std::size_t>(state_->table().store_elements()));
    backend_->download(rounded.data(), state_->weights().bf16, std::ssize(rounded) * 2);
    return all.append(reinterpret_cast<const char*>(rounded.data()), rounded.size() * 2);
  }

  // An update whose gradients are 0.5 but for one element, and whose losses are so many bits.
  TrainState::Sums update(float odd, double bits, std::int64_t number) {
    state_->begin();
    const Weights gradients = state_->outputs().gradients;
    for (const Parameter& p : state_->table().entries()) {
      const std::vector<float> values(static_cast<std::size_t>(p.count), 0.5f);
      backend_->upload(gradients.f32 + p.offset, values.data(), p.count * 4);
    }
    backend_->upload(gradients.f32 + state_->table().find("blocks.1.attention.key.weight")->offset + 5, &odd, 4);
    backend_->upload(state_->outputs().bits.data, &bits, 8);
    return state_->update(0.01, number);
  }

  // The weights, of which the rounded ones are a copy.
  std::vector<float> weights() const {
    const auto elements = static_cast<std::size_t>(state_->table().store_elements());
    std::vector<float> values(elements);
    backend_->download(values.data(), state_->weights().f32, std::ssize(values) * 4);
    std::vector<std::uint16_t> rounded(elements);
    backend_->download(rounded.data(), state_->weights().bf16, std::ssize(rounded) * 2);
    for (std::size_t e = 0; e < elements; ++e) EXPECT_EQ(rounded[e], bfloat16_from_float(values[e]));
    return values;
  }

  Scratch scratch_;
  Config config_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend();
  std::unique_ptr<TrainState> state_;
};

TEST_F(State, IsChangedByAGradientThatIsFinite) {
  const std::string before = bytes();
  EXPECT_EQ(bytes(), before);
  const TrainState::Sums sums = update(0.25f, 12, 1);
  EXPECT_TRUE(sums.finite());
  EXPECT_EQ(sums.bits, 12);
  const double squares = 0.25 * static_cast<double>(state_->table().count() - 1) + 0.0625;
  EXPECT_NEAR(sums.norm, std::sqrt(squares), 1e-6 * std::sqrt(squares));
  EXPECT_NE(bytes(), before);
}

TEST_F(State, IsNotChangedByAGradientOrALossThatIsNotFinite) {
  const std::string initial = bytes();
  EXPECT_FALSE(update(kNaN, 12, 1).finite());
  EXPECT_EQ(bytes(), initial);
  update(0.25f, 12, 1);
  const std::string before = bytes();
  ASSERT_NE(before, initial);
  for (const float odd : {kNaN, kInfinity, -kInfinity}) {
    EXPECT_FALSE(update(odd, 12, 2).finite());
    EXPECT_EQ(bytes(), before) << odd;
  }
  for (const double bits : {static_cast<double>(kNaN), static_cast<double>(kInfinity)}) {
    EXPECT_FALSE(update(0.25f, bits, 2).finite());
    EXPECT_EQ(bytes(), before) << bits;
  }
  EXPECT_TRUE(update(0.25f, 12, 2).finite());
  EXPECT_NE(bytes(), before);
}

TEST_F(State, CountsStepsThatItSkips) {
  const Dataset data(config_.data);
  Trainer trainer(*backend_, config_, data, *state_);
  Progress progress;
  const Parameter* output = state_->table().find("output.weight");
  std::vector<float> values(static_cast<std::size_t>(output->count), kNaN);
  backend_->upload(state_->weights().f32 + output->offset, values.data(), output->count * 4);
  run_once(*backend_, Round{array(state_->weights().f32, state_->table().store_elements()),
                            array(state_->weights().bf16, state_->table().store_elements())});
  const std::string before = bytes();
  for (std::int64_t skip = 1; skip <= 3; ++skip) {
    EXPECT_TRUE(trainer.step(progress, 0.01).skipped);
    EXPECT_EQ(progress.step, skip);
    EXPECT_EQ(progress.updates, 0);
    EXPECT_EQ(progress.skipped, skip);
    EXPECT_EQ(progress.skipped_in_a_row, skip);
    EXPECT_EQ(bytes(), before);
  }
  state_->initialise(3);
  const std::vector<float> initial = weights();
  const Trainer::Result good = trainer.step(progress, 0.01);
  EXPECT_FALSE(good.skipped);
  EXPECT_EQ(good.loss_bits, 8);
  EXPECT_EQ(progress.step, 4);
  EXPECT_EQ(progress.updates, 1);
  EXPECT_EQ(progress.skipped, 3);
  EXPECT_EQ(progress.skipped_in_a_row, 0);
  EXPECT_NE(bytes(), before);
  const std::vector<float> moved = weights();  // as a first update does: the furthest by the rate
  double furthest = 0;
  for (std::int64_t e = output->offset; e < output->offset + output->count; ++e)
    furthest = std::max(
        furthest, std::abs(double{moved[static_cast<std::size_t>(e)]} - double{initial[static_cast<std::size_t>(e)]}));
  EXPECT_NEAR(furthest, 0.01, 1e-4);
}

// Windows at the edges of the data overlap their neighbours: what those have is not scored again.
TEST_F(State, ScoresEachByteOfAnEpochOnce) {
  const Dataset data(config_.data);
  Trainer trainer(*backend_, config_, data, *state_);
  Progress progress;
  while (trainer.epoch(progress.step) < 1) EXPECT_NEAR(trainer.step(progress, 0).loss_bits, 8, 1e-6);
  EXPECT_GT(progress.step, 40);
}

TEST_F(State, ReadsInItsPartsTheWindowsOfALargerBatch) {
  const Dataset data(config_.data);
  config_.training.precision = Precision::float32;
  std::vector<double> norms[2];
  for (const std::int64_t parts : {1, 2}) {
    config_.training.batch = 4 / parts;
    config_.training.accumulate = parts;
    TrainState state(*backend_, config_.model, config_.training, DType::float32);
    state.initialise(3);
    Trainer trainer(*backend_, config_, data, state);
    Progress progress;
    for (int step = 0; step < 5; ++step) norms[parts - 1].push_back(trainer.step(progress, 0).gradient_norm);
  }
  for (std::size_t step = 0; step < 5; ++step) EXPECT_NEAR(norms[1][step], norms[0][step], 1e-5 * norms[0][step]);
}

// The first update of a gradient that is the same everywhere moves each weight by the rate, and by its decay where it
// decays.
TEST_F(State, MovesEachParameterByTheRateAndItsDecay) {
  config_.training.weight_decay = 0.5;
  state_ = std::make_unique<TrainState>(*backend_, config_.model, config_.training, DType::bfloat16);
  state_->initialise(3);
  const std::vector<float> before = weights();
  {
    const TrainState::Averaged averaged(*state_);
    EXPECT_EQ(weights(), before);  // where the average begins
  }
  update(0.5f, 12, 1);
  const std::vector<float> after = weights();
  for (const Parameter& p : state_->table().entries())
    for (std::size_t e = static_cast<std::size_t>(p.offset); e < static_cast<std::size_t>(p.offset + p.count); ++e)
      ASSERT_NEAR(after[e], before[e] - 0.01f * (1 + (p.decay ? 0.5f * before[e] : 0)), 1e-5) << p.name;
}

TEST_F(State, ComesBackFromItsFilesWithItsRoundedWeights) {
  update(0.25f, 12, 1);
  const std::string before = bytes();
  state_->initialise(9);
  state_->load(scratch_.path());
  EXPECT_EQ(bytes(), before);
  for (const char* name : {"state.safetensors", "model.safetensors"}) {
    const std::string path = scratch_ / name, whole = get(path);
    put(path, whole.substr(0, whole.size() - 1) + static_cast<char>(whole.back() ^ 1));
    EXPECT_THROW(state_->load(scratch_.path()), Error) << name;
    put(path, whole);
  }
}

// The first number that is not finite, from the weights through the layers to the gradients, has a name.
TEST_F(State, NamesWhatIsNotFiniteFirst) {
  const Dataset data(config_.data);
  for (const DType type : {DType::bfloat16, DType::float32}) {
    config_.training.precision = type == DType::float32 ? Precision::float32 : Precision::bfloat16;
    state_ = std::make_unique<TrainState>(*backend_, config_.model, config_.training, type);
    Trainer trainer(*backend_, config_, data, *state_);
    Progress progress;
    const auto set = [&](const char* parameter, float value) {
      state_->initialise(3);
      const Parameter* p = state_->table().find(parameter);
      std::vector<float> values(static_cast<std::size_t>(p->count), value);
      backend_->upload(state_->weights().f32 + p->offset, values.data(), p->count * 4);
      if (type == DType::float32) return;
      run_once(*backend_, Round{array(state_->weights().f32, state_->table().store_elements()),
                                array(state_->weights().bf16, state_->table().store_elements())});
    };
    const auto first = [&](const char* parameter, float value) {
      set(parameter, value);
      EXPECT_TRUE(trainer.step(progress, 0.01).skipped) << parameter;
      return trainer.first_not_finite();
    };
    EXPECT_EQ(first("output.weight", kNaN), "output.weight");
    EXPECT_EQ(first("blocks.0.attention.value.weight", kInfinity), "blocks.0.attention.value.weight");
    EXPECT_EQ(first("blocks.1.attention.key.bias", 3e38f), "the output of attention in layer 1");
    EXPECT_EQ(first("blocks.0.attention.query.weight", 3e38f), "the queries of attention in layer 0");
    EXPECT_EQ(first("blocks.1.attention.value.weight", -3e38f), "the values of attention in layer 1");
    EXPECT_EQ(first("blocks.0.feedforward.contract.bias", 3e38f), "the queries of attention in layer 1");
    EXPECT_EQ(first("blocks.1.feedforward.contract.bias", 3e38f), "the logits, behind the last layer");
    state_->initialise(3);
    const double before = trainer.step(progress, 0.01).loss_bits;
    EXPECT_EQ(before, 8) << "the run goes on";
    update(kNaN, 12, 1);
    EXPECT_EQ(trainer.first_not_finite(), "the gradient of blocks.1.attention.key.weight");
    update(0.25f, 12, 2);
    EXPECT_EQ(trainer.first_not_finite(), "nothing that stayed so");
  }
}

// While it lives weights() hold the average, in float32 and rounded; afterwards all is as it was.
TEST_F(State, HoldsItsAverageForAsLongAsItIsAskedTo) {
  for (std::int64_t number = 1; number <= 3; ++number) update(0.25f, 12, number);
  const std::vector<float> trained = weights();
  const std::string before = bytes();
  {
    const TrainState::Averaged averaged(*state_);
    EXPECT_NE(weights(), trained);
  }
  EXPECT_EQ(weights(), trained);
  EXPECT_EQ(bytes(), before);
}

}  // namespace
}  // namespace longstride
