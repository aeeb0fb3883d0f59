// These tests let threads play processes with a card each, a twin: training gives the bytes of one process with as many
// lanes. The twins' memory is out of the host's reach, so that whatever goes there by another way than a carrier ends
// the test.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "cuda/host/kind_of_card.h"
#include "error_words.h"
#include "io/scratch.h"
#include "longstride/error.h"
#include "longstride/evaluate.h"
#include "parallel/processes.h"
#include "train/trained_steps.h"
#include "train/trainer.h"
#include "train/training.h"

namespace longstride {
namespace {

// While one of these lives there are so many cards, of one kind.
class Cards {
 public:
  explicit Cards(int number) { cuda::host::names_of_cards().assign(static_cast<std::size_t>(number), before_.front()); }
  ~Cards() { cuda::host::names_of_cards() = before_; }

 private:
  std::vector<std::string> before_ = cuda::host::names_of_cards();
};

class ProcessesWithCards : public testing::Test {
 protected:
  ProcessesWithCards() { put(scratch_ / "text", text_that_repeats_itself(2000)); }

  // Wide enough that several processes move parts of every segment. A step has 48 tokens: a hash table of more rows
  // goes from process to process as a list of those that are used.
  Config config(DType type, std::int64_t buckets) const {
    Config config = read_config(
        {R"x({"model": {"context": 12, "layers": 1, "width": 48, "heads": 2, "positions": [3, 4], "dropout": 0.2,
              "attention": "fixed(4,1)", "hash_orders": [2], "hash_buckets": 41},
              "training": {"batch": 1, "ema": 0.9, "accumulate": 4, "lanes": 4, "clip": 0.01, "learning_rate": 0.01,
              "recompute": "none", "device": "cuda"}})x"},
        {"test"}, {"data.paths=[\"" + scratch_ / "text" + "\"]"});
    config.model.hash_buckets = buckets;
    config.training.precision = type == DType::float32 ? Precision::float32 : Precision::bfloat16;
    return config;
  }

  // Steps of so many processes, from the beginning or from the checkpoint that lies in scratch, saved there.
  enum class By : std::uint8_t { memory, tcp };  // goes what they say to one another
  Trained run(const Config& config, int processes, std::int64_t first, std::int64_t steps, By by = By::memory) const {
    const Cards cards(processes);
    Trained all;
    const auto body = [&](World& world) {
      const std::unique_ptr<Backend> backend = make_backend(device_among(world, config.training.device));
      train_steps(world, *backend, config, scratch_.path(), first, steps, all);
    };
    if (by == By::memory)
      run_threads(processes, body);
    else
      EXPECT_EQ(run_over_tcp(processes, body), std::vector<std::string>(static_cast<std::size_t>(processes)));
    all.files = checkpoint_bytes(scratch_.path());
    return all;
  }

  Scratch scratch_;
};

TEST_F(ProcessesWithCards, GiveTheSameBitsInAnyNumber) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    for (const std::int64_t buckets : {41, 301}) {
      const Config c = config(type, buckets);
      const Shards shards(ParameterTable(c.model), 4);
      for (int s = 0; s < shards.segments(); ++s) EXPECT_GT(shards.moved(s, 1).size(), 0) << s;
      const Trained alone = run(c, 1, 0, 2);
      for (const int processes : {2, 4}) {
        const Trained shared = run(c, processes, 0, 2);
        EXPECT_EQ(shared.bits, alone.bits) << processes;
        EXPECT_EQ(shared.norms, alone.norms) << processes;
        EXPECT_TRUE(shared.files == alone.files) << processes << " processes, " << buckets << " rows";
      }
      for (const double norm : alone.norms) EXPECT_GT(norm, c.training.clip);  // so that it decides about the bits
    }
  }
}

TEST_F(ProcessesWithCards, GoOnInAnotherNumber) {
  const Config c = config(DType::bfloat16, 301);
  const std::string whole = run(c, 1, 0, 4).files;
  run(c, 4, 0, 1);
  run(c, 1, 1, 1);
  EXPECT_TRUE(run(c, 2, 2, 2, By::tcp).files == whole);
}

// In the midst of its passes, while gradients are on their way.
TEST_F(ProcessesWithCards, EndWithTheOneThatFails) {
  const Config c = config(DType::float32, 41);
  const Cards cards(2);
  int ended = 0;
  EXPECT_EQ(error_words(ErrorKind::corrupt_data,
                        [&] {
                          run_threads(2, [&](World& world) {
                            const std::unique_ptr<Backend> backend = make_backend(device_among(world, Device::cuda));
                            TrainState state(*backend, c.model, c.training, DType::float32, world);
                            state.initialise(5);
                            state.begin();
                            state.segment_final(0);
                            if (world.rank() == 1) throw Error(ErrorKind::corrupt_data, "the data are gone");
                            error_words(ErrorKind::unavailable, [&] { state.update(0.01, 1); });
                            ++ended;
                          });
                        }),
            "the data are gone");
  EXPECT_EQ(ended, 1);
}

// What is not finite is looked for in the card's memory.
TEST_F(ProcessesWithCards, SkipAStepTogetherAndSayWhatWasNotFinite) {
  const Config c = config(DType::bfloat16, 41);
  const Cards cards(2);
  run_threads(2, [&](World& world) {
    const Dataset data(c.data);
    const std::unique_ptr<Backend> backend = make_backend(device_among(world, c.training.device));
    TrainState state(*backend, c.model, c.training, DType::bfloat16, world);
    state.initialise(5);
    Trainer trainer(*backend, c, data, state, world);
    Progress progress;
    EXPECT_FALSE(trainer.step(progress, 0.01).skipped);
    const auto spoil = [&] {  // what the first process moves, in the second
      const float none = NAN;
      if (world.rank() == 1) backend->upload(const_cast<float*>(state.weights().floats(state.table().start)), &none, 4);
    };
    spoil();
    EXPECT_TRUE(trainer.step(progress, 0.01).skipped);
    const std::string first = trainer.first_not_finite();
    EXPECT_EQ(first.substr(0, 16), "the gradient of ") << "weights are those of their owners again";
    spoil();
    EXPECT_EQ(state.first_weight_not_finite(), world.rank() == 1 ? "start" : "");
  });
}

class TrainInProcesses : public Training {
 protected:
  Config config_on_cards() const {
    Config c = config(3);
    c.model.context = 24, c.model.width = 16, c.model.layers = 1, c.model.positions = {5, 5};
    c.training.accumulate = 2, c.training.lanes = 2, c.training.device = Device::cuda;
    return c;
  }
  void run_in(int processes, const Config& c, const std::string& name) {
    run_threads(processes, [&](World& world) {
      TrainObserver observer;
      observer.noted = [&](const std::string& sentence) { notes_ += sentence + "\n"; };
      observer.started = [&](const Config&, const Plan& plan, const std::string&) { plan_ = plan; };
      TrainOptions options;
      options.out = path(name);
      options.world = &world;
      train(c, options, observer);
    });
  }
  Plan plan_;
};

TEST_F(TrainInProcesses, GivesTheSameBitsAndSaysThatWhatTheyExchangeGoesThroughTheHost) {
  const Config c = config_on_cards();
  run(c, "alone");
  EXPECT_EQ(notes_.find("exchange"), std::string::npos) << notes_;
  {
    const Cards cards(2);
    run_in(2, c, "two");
  }
  EXPECT_EQ(model_bytes("two"), model_bytes("alone"));
  EXPECT_NE(
      notes_.find("what the processes exchange goes through the memory of the host, which takes longer: this build "
                  "has no NCCL\n"),
      std::string::npos)
      << notes_;
  EvaluateOptions options;
  options.run = path("two"), options.paths = {path("data.txt")}, options.bytes = 500, options.device = Device::cuda;
  const double alone = evaluate(options).bits_per_byte;
  const Cards cards(2);
  run_threads(2, [&](World& world) {
    EvaluateOptions mine = options;
    mine.world = &world;
    EXPECT_EQ(evaluate(mine).bits_per_byte, alone);
  });
  EXPECT_EQ(read_config({read_text(path("two") + "/config.json")}, {"test"}, {}).training.device, Device(Device::cuda))
      << "what was asked for";
}

TEST_F(TrainInProcesses, NeedsACardForEachAndAllOfOneKind) {
  EXPECT_EQ(
      error_words(ErrorKind::invalid_argument, [&] { run_in(2, config_on_cards(), "two"); }),
      "device: process 1 would compute on another one and process 0 on a card that is interpreted, which do not give "
      "the same bits; CUDA_VISIBLE_DEVICES shows them cards of one kind");
  const Cards cards(1);
  EXPECT_EQ(
      error_words(ErrorKind::invalid_argument, [&] { run_in(2, config_on_cards(), "two"); }),
      "device: each process needs a card of its own, and 2 processes have 1 card to take; start as many processes "
      "on a machine as it has cards, or use cpu");
}

}  // namespace
}  // namespace longstride
