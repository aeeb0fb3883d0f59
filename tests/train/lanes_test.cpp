// These tests train with lanes: bits depend on how many there are, and not on how many processes share them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file.h"
#include "io/scratch.h"
#include "model/engine.h"
#include "parallel/world.h"
#include "train/elsewhere.h"
#include "train/trained_steps.h"
#include "train/trainer.h"

namespace longstride {
namespace {

// Wide enough that several processes move parts of one table, rows of hash embeddings among them.
class Lanes : public testing::Test {
 protected:
  Lanes() { put(scratch_ / "text", text_that_repeats_itself(6000)); }

  // A step has 960 tokens: a hash table of more rows goes from process to process as a list of those that are used.
  Config config(int lanes, DType type = DType::float32, std::int64_t buckets = 301) const {
    Config config = read_config(
        {R"x({"model": {"context": 30, "layers": 2, "width": 48, "heads": 2, "positions": [5, 6], "dropout": 0.2,
              "attention": "fixed(5,1)", "hash_orders": [2], "hash_buckets": 301}, "training": {"batch": 2, "ema": 0.9,
              "accumulate": 16, "clip": 0.01, "learning_rate": 0.01, "recompute": "none"}})x"},
        {"test"}, {"data.paths=[\"" + scratch_ / "text" + "\"]"});
    config.training.lanes = lanes;
    config.model.hash_buckets = buckets;
    config.training.precision = type == DType::float32 ? Precision::float32 : Precision::bfloat16;
    return config;
  }

  using MakeBackend = std::function<std::unique_ptr<Backend>()>;
  // Steps of so many processes, from the beginning or from the checkpoint that lies in scratch, saved there.
  Trained run(
      const Config& config, int processes, std::int64_t first, std::int64_t steps,
      const MakeBackend& make = [] { return make_backend(Device::cpu); }) const {
    Trained all;
    run_threads(processes, [&](World& world) {
      const std::unique_ptr<Backend> backend = make();
      train_steps(world, *backend, config, scratch_.path(), first, steps, all);
    });
    all.files = checkpoint_bytes(scratch_.path());
    return all;
  }

  Scratch scratch_;
};

struct Kind {
  DType type;
  std::int64_t buckets;
};
constexpr Kind kKinds[] = {
    {DType::float32, 301}, {DType::bfloat16, 301}, {DType::float32, 1009}, {DType::bfloat16, 1009}};

TEST_F(Lanes, GiveTheSameBitsInAnyNumberOfProcesses) {
  for (const auto& [type, buckets] : kKinds) {
    const Config c = config(8, type, buckets);
    const Trained alone = run(c, 1, 0, 3);
    for (const int processes : {2, 4, 8}) {
      const Trained shared = run(c, processes, 0, 3);
      EXPECT_EQ(shared.bits, alone.bits) << processes;
      EXPECT_EQ(shared.norms, alone.norms) << processes;
      EXPECT_TRUE(shared.files == alone.files) << processes << " processes";
    }
    for (const double norm : alone.norms) EXPECT_GT(norm, c.training.clip);  // so that the norm decides about the bits
  }
}

// A carrier that wants both sides to name the same number of bytes, and says where they do not.
class EqualSizes final : public Carrier {
 public:
  EqualSizes(Backend& backend, World& world) : world_(world), carrier_(carrier_through_host(backend, world)) {}
  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  bool takes_shorter() const override { return false; }
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    const auto others = static_cast<std::size_t>(size());
    std::vector<std::int64_t> mine, all(others * others);
    for (const Piece& piece : sends) mine.push_back(piece.bytes);
    world_.all_gather(mine.data(), std::ssize(mine) * 8, all.data());
    for (std::size_t p = 0; p < others; ++p)
      EXPECT_EQ(receives[p].bytes, all[p * others + static_cast<std::size_t>(rank())]) << p << " to " << rank();
    return carrier_->begin_exchange(sends, receives);
  }
  void finish(Ticket exchange) override { carrier_->finish(exchange); }

 private:
  World& world_;
  std::unique_ptr<Carrier> carrier_;
};

TEST_F(Lanes, AreCarriedByWhoeverCarries) {
  for (const auto& [type, buckets] : kKinds) {
    const Config c = config(4, type, buckets);
    const Trained alone = run(c, 1, 0, 2);
    for (const bool equal : {false, true}) {
      const auto make = [&] {
        auto backend = std::make_unique<Elsewhere>();
        if (equal)
          backend->make = [](Backend& inner, World& world) { return std::make_unique<EqualSizes>(inner, world); };
        return backend;
      };
      for (const int processes : {2, 4}) {
        const Trained shared = run(c, processes, 0, 2, make);
        EXPECT_EQ(shared.bits, alone.bits) << processes;
        EXPECT_TRUE(shared.files == alone.files) << processes << " processes, " << buckets << " rows";
      }
    }
  }
}

TEST_F(Lanes, GoOnInAnotherNumberOfProcesses) {
  for (const std::int64_t buckets : {301, 1009}) {
    const Config c = config(8, DType::bfloat16, buckets);
    const std::string whole = run(c, 1, 0, 8).files;
    run(c, 1, 0, 2);
    run(c, 4, 2, 2);
    run(c, 2, 4, 3);
    EXPECT_TRUE(run(c, 8, 7, 1).files == whole) << buckets;
  }
}

// Gradients that are not finite travel as all others do, and nothing is moved by any process.
TEST_F(Lanes, SkipAStepTogether) {
  for (const auto& [type, buckets] : kKinds) {
    const Config c = config(4, type, buckets);
    std::string alone;
    for (const int processes : {1, 2, 4}) {
      run_threads(processes, [&](World& world) {
        const Dataset data(c.data);
        const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
        TrainState state(*backend, c.model, c.training, type, world);
        state.initialise(5);
        Trainer trainer(*backend, c, data, state, world);
        Progress progress;
        const auto saved = [&] {
          state.save(scratch_.path(), c, Progress());
          if (world.rank() != 0) return std::string();
          return read_text(scratch_ / "model.safetensors") + read_text(scratch_ / "state.safetensors");
        };
        EXPECT_FALSE(trainer.step(progress, 0.01).skipped);
        const std::string before = saved();
        float* start =
            state.weights().floats(state.table().start);  // the first process moves it, the last one spoils it
        const float was = *start;
        if (world.rank() + 1 == world.size()) *start = NAN;
        EXPECT_TRUE(trainer.step(progress, 0.01).skipped);
        *start = was;
        EXPECT_TRUE(saved() == before) << processes;
        EXPECT_FALSE(trainer.step(progress, 0.01).skipped);
        const std::string end = saved();
        EXPECT_EQ(end == before, world.rank() != 0);
        if (world.rank() != 0) return;
        if (processes == 1) alone = end;
        EXPECT_TRUE(end == alone) << processes;
      });
    }
  }
}

// Weights arrive from other processes behind the back of the device, which keeps products' weights in an order of its
// own.
TEST_F(Lanes, AreDecodedWithTheWeightsThatArrived) {
  std::vector<std::int32_t> prompt;  // long enough for tiles, whose products' weights are kept
  for (int i = 0; i < 300; ++i) prompt.push_back(i * i % 256);
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Config c = config(2, type);
    c.model.context = 320;
    c.model.positions = {16, 20};
    const auto logits = [&](int processes) {
      std::vector<std::vector<float>> all;
      run_threads(processes, [&](World& world) {
        const Dataset data(c.data);
        const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
        TrainState state(*backend, c.model, c.training, type, world);
        state.initialise(5);
        Trainer trainer(*backend, c, data, state, world);
        Engine engine(*backend, c.model, {1, c.model.context, type}, state.weights());
        Progress progress;
        for (int step = 0; step < 3; ++step) {
          trainer.step(progress, 0.01);
          for (int again = 0; again < 3; ++again) {  // kept from the second time on
            const Engine::Sequence place = engine.join();
            const float* found = engine.read(place, prompt, nullptr, Engine::Reading::tiles);
            if (world.rank() == 0) all.emplace_back(found, found + 256);
            engine.leave(place);
          }
        }
      });
      return all;
    };
    const std::vector<std::vector<float>> alone = logits(1);
    EXPECT_EQ(alone[0], alone[2]);
    EXPECT_NE(alone[2], alone[3]);
    EXPECT_EQ(logits(2), alone);
  }
}

// Their sums are those of one lane but for rounding, and not to the bit: the test would not see lanes left out.
TEST_F(Lanes, AddInAnotherOrderOnly) {
  const Trained one = run(config(1), 1, 0, 1);
  for (const int lanes : {2, 16}) {
    const Trained several = run(config(lanes), 1, 0, 1);
    EXPECT_NEAR(several.bits[0], one.bits[0], 1e-6 * one.bits[0]) << lanes;
    EXPECT_NEAR(several.norms[0], one.norms[0], 1e-6 * one.norms[0]) << lanes;
    EXPECT_FALSE(several.files == one.files) << lanes;
  }
}

// The sum over lanes against its definition, on numbers whose sums depend on the order. With few tokens rows of the
// hash table have a gradient in some lanes only, and in others none at all.
TEST_F(Lanes, AreAddedAsLeavesOfATree) {
  const ParameterTable table(config(1, DType::float32, 1009).model);
  const auto elements = static_cast<std::size_t>(table.store_elements());
  const Parameter& rows = *table.find("hash_embedding.2.weight");
  constexpr std::int64_t kTokens = 100;  // of a process's step
  const auto value = [&](std::size_t element, int lane, std::int64_t tokens) {
    const std::int64_t row = (static_cast<std::int64_t>(element) - rows.offset) / rows.shape.back();
    const bool of_rows = static_cast<std::int64_t>(element) >= rows.offset && row < rows.shape.front();
    if (tokens == kTokens && of_rows && (row % 11 != 3 || (row / 11 + lane) % 3 == 0)) return 0.0f;
    return std::ldexp(1.0f + 0.37f * static_cast<float>((element * 31 + static_cast<std::size_t>(lane) * 17) % 89),
                      static_cast<int>((element + static_cast<std::size_t>(lane) * 5) % 20) - 10);
  };
  const auto expect = [&](int lanes, int processes, std::int64_t tokens) {
    run_threads(processes, [&](World& world) {
      const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
      const Shards shards(table, processes);
      const int mine = lanes / processes;
      GradientSum sum(*backend, table.store_elements(), mine, shards, world, tokens);
      for (int lane = 0; lane < mine; ++lane) {
        std::vector<float> values(elements);
        for (std::size_t e = 0; e < elements; ++e) values[e] = value(e, world.rank() * mine + lane, tokens);
        std::vector<float> before(elements);
        backend->download(before.data(), sum.lane().data(), sum.lane().bytes());
        EXPECT_EQ(before, std::vector<float>(elements)) << "a lane begins with zeros";
        backend->upload(sum.lane().data(), values.data(), sum.lane().bytes());
        if (lane + 1 < mine) sum.end_lane(lane);
      }
      for (int s = 0; s < shards.segments(); ++s) sum.segment_final(s);
      sum.finish();
      for (int s = 0; s < shards.segments(); ++s) {
        const ElementRange range = shards.needed(s, world.rank());
        for (std::int64_t e = range.begin; e < range.end; ++e) {
          std::vector<float> terms;
          for (int lane = 0; lane < lanes; ++lane) terms.push_back(value(static_cast<std::size_t>(e), lane, tokens));
          for (std::size_t apart = 1; apart < terms.size(); apart *= 2)
            for (std::size_t i = 0; i < terms.size(); i += 2 * apart) terms[i] += terms[i + apart];
          ASSERT_EQ(sum.mine(s)[e - range.begin], terms[0]) << lanes << " lanes, " << processes << " processes";
        }
      }
    });
  };
  for (const int lanes : {1, 2, 8})
    for (int processes = 1; processes <= lanes; processes *= 2)
      for (const std::int64_t tokens : {kTokens, std::int64_t{1'000'000}}) expect(lanes, processes, tokens);
}

TEST(LanesOfAConfiguration, AreAPowerOfTwoThatDividesTheMicroBatches) {
  const auto refusal = [](std::int64_t lanes, std::int64_t accumulate) {
    Config config;
    config.model.attention = read_attention("dense");
    config.model.positions = {1024};
    config.training.lanes = lanes, config.training.accumulate = accumulate;
    try {
      check(config);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal(1, 3), "");
  EXPECT_EQ(refusal(4, 12), "");
  EXPECT_EQ(refusal(3, 3), "training.lanes: needs a power of two, got 3");
  EXPECT_EQ(refusal(8, 12), "training.lanes: needs to divide training.accumulate, got 8 lanes of 12 micro-batches");
}

}  // namespace
}  // namespace longstride
