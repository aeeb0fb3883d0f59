// These tests count what processes read and send in a step, and hold the model of many processes against sums by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "error_words.h"
#include "io/file.h"
#include "io/scratch.h"
#include "longstride/plan.h"
#include "parallel/world.h"
#include "train/float_tensors.h"
#include "train/multiply_adds.h"
#include "train/scaling.h"
#include "train/trained_steps.h"
#include "train/trainer.h"

namespace longstride {
namespace {

// Counts the bytes that go to other ranks.
class CountingWorld : public World {
 public:
  explicit CountingWorld(World& world) : world_(world) {}
  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    for (std::size_t to = 0; to < sends.size(); ++to)
      if (static_cast<int>(to) != rank()) sent += sends[to].bytes;
    return world_.begin_exchange(sends, receives);
  }
  void finish(Ticket exchange) override { world_.finish(exchange); }
  std::int64_t sent = 0;

 private:
  World& world_;
};

// Bytes that this thread has asked of files; -1 where the system does not say.
std::int64_t bytes_read() {
  std::ifstream io("/proc/thread-self/io");
  std::string name;
  std::int64_t bytes = -1;
  if (io >> name >> bytes && name == "rchar:") return bytes;
  return -1;
}

class Scale : public testing::Test {
 protected:
  Scale() { put(scratch_ / "text", text_that_repeats_itself(300'000)); }

  // Windows are long, so that what is read besides them is little.
  Config config(int lanes) const {
    return read_config({R"x({"model": {"context": 4096, "layers": 2, "width": 48, "heads": 2, "positions": [64, 64],
              "attention": "fixed(64,8)", "hash_orders": [2], "hash_buckets": 301},
              "training": {"accumulate": 8, "precision": "float32", "recompute": "none", "ema": 0}})x"},
                       {"test"},
                       {"data.paths=[\"" + scratch_ / "text" + "\"]", "training.lanes=" + std::to_string(lanes)});
  }

  Scratch scratch_;
};

// What each of so many processes sends in a step, by rank.
std::vector<std::int64_t> sent_by(const Config& c, DType type, int processes) {
  std::vector<std::int64_t> sent(static_cast<std::size_t>(processes));
  run_threads(processes, [&](World& world) {
    CountingWorld counting(world);
    const Dataset data(c.data);
    const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
    TrainState state(*backend, c.model, c.training, type, counting);
    state.initialise(5);
    Trainer trainer(*backend, c, data, state, counting);
    Progress progress;
    counting.sent = 0;
    const std::int64_t before = bytes_read();
    trainer.step(progress, 0.01);
    const std::int64_t read = bytes_read() - before, windows = c.training.accumulate / processes * c.model.context;
    sent[static_cast<std::size_t>(world.rank())] = counting.sent;
    if (before < 0) return;
    EXPECT_GE(read, windows);
    EXPECT_LT(read, windows + 2048) << "of " << processes;
  });
  return sent;
}

TEST_F(Scale, ProcessesSendWhatIsPlannedAndReadTheirOwnWindows) {
  for (const int processes : {1, 2, 4}) {
    for (const DType type : {DType::float32, DType::bfloat16}) {
      Config c = config(8);
      if (type == DType::bfloat16) c.training.precision = Precision::bfloat16;
      const std::vector<std::int64_t> sent = sent_by(c, type, processes);
      std::int64_t sent_by_all = 0;
      for (int rank = 0; rank < processes; ++rank) {
        EXPECT_EQ(sent[static_cast<std::size_t>(rank)], sent_bytes_per_step(c.model, c.training, type, processes, rank))
            << processes;
        sent_by_all += sent[static_cast<std::size_t>(rank)];
      }
      // Every element's gradient goes to its owner from all others, and its weight back.
      const ParameterTable table(c.model);
      const auto elements = static_cast<double>(table.store_elements()),
                 floats = static_cast<double>(FloatTensors(table).elements()),
                 tables = static_cast<double>(Shards(table, processes).tables().range.size());
      const double there_and_back =
          type == DType::float32 ? 8 * elements : 4 * elements + 2 * (elements - tables) + 4 * floats;
      EXPECT_NEAR(static_cast<double>(sent_by_all), there_and_back * (processes - 1),
                  0.02 * there_and_back * processes);
    }
  }
}

// Of a large table the rows that tokens use: a plan counts the most that there can be, a text of few words has fewer.
TEST_F(Scale, ProcessesSendOfLargeTablesWhatTokensUse) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Config c = config(4);
    c.model.context = 64, c.model.positions = {8, 8}, c.model.hash_orders = {2, 3}, c.model.hash_buckets = 20'000;
    if (type == DType::bfloat16) c.training.precision = Precision::bfloat16;
    Config none = c;
    none.model.hash_orders = {};
    for (const int processes : {2, 4}) {
      const std::vector<std::int64_t> sent = sent_by(c, type, processes);
      std::int64_t all = 0, most = 0, without = 0;
      for (int rank = 0; rank < processes; ++rank) {
        const auto planned = [&](const Config& of) {
          return sent_bytes_per_step(of.model, of.training, type, processes, rank);
        };
        EXPECT_LT(sent[static_cast<std::size_t>(rank)], planned(c)) << processes;
        all += sent[static_cast<std::size_t>(rank)];
        most += planned(c);
        without += planned(none);
      }
      EXPECT_GT(all, without) << processes;
      EXPECT_LT(most - without, (processes - 1) * 2 * 2 * 20'000 * 48 * 4 / 15) << processes << ": of whole tables";
    }
  }
}

// A machine on which nothing waits but for the link.
Rates rates_of(double multiply_adds, double link) { return {multiply_adds, 1e18, link, 0}; }

TEST_F(Scale, OfOneProcessIsOne) {
  const Config c = config(1);
  const Scaling one = predict_scaling(c, 1, rates_of(1e10, 1e9));
  EXPECT_DOUBLE_EQ(one.efficiency, 1);
  EXPECT_EQ(one.exchange_s, 0);
  EXPECT_NEAR(one.step_s, static_cast<double>(multiply_adds_per_step(c)) / 1e10, 1e-6);
  EXPECT_EQ(one.batches_for_90, 1);
}

// Of two processes: what the busier one sends of a segment's gradient, and of all weights.
double gradient_bytes(const Shards& shards, int segment) {
  return 4.0 * static_cast<double>(std::max(shards.needed(segment, 0).size(), shards.needed(segment, 1).size()));
}
double weight_bytes(const Shards& shards) {
  double moved[2] = {};
  for (int s = 0; s < shards.segments(); ++s)
    for (const int p : {0, 1}) moved[p] += 4.0 * static_cast<double>(shards.moved(s, p).size());
  return std::max(moved[0], moved[1]);
}

// Passes that take far longer than the link: of the gradients those of the first block and what lies below it, which
// become final as the pass ends, are waited for.
TEST_F(Scale, HidesGradientsBehindLongPasses) {
  const Config c = config(8);
  const Shards shards(ParameterTable(c.model), 2);
  const int last = shards.segments() - 1;
  const double bytes = gradient_bytes(shards, last - 1) + gradient_bytes(shards, last) + weight_bytes(shards);
  const double waited = predict_scaling(c, 2, rates_of(1e7, 1e9)).exchange_s;
  EXPECT_NEAR(waited, bytes / 1e9 + 5e-6, 0.01 * waited);  // a microsecond for each of five exchanges
}

// Passes that take no time: all bytes are waited for.
TEST_F(Scale, WaitsForAllBytesWhereNothingIsComputed) {
  const Config c = config(8);
  const Shards shards(ParameterTable(c.model), 2);
  double bytes = weight_bytes(shards);
  for (int s = 0; s < shards.segments(); ++s) bytes += gradient_bytes(shards, s);
  const double waited = predict_scaling(c, 2, rates_of(1e18, 1e6)).exchange_s;
  EXPECT_NEAR(waited, bytes / 1e6, 0.01 * waited);
}

TEST_F(Scale, SaysFromHowManyBatchesOnMostTimeIsComputed) {
  for (const double link : {1e7, 1e8, 1e9}) {
    for (const int processes : {2, 8}) {
      Config c = config(processes);
      const Rates rates = rates_of(1e11, link);
      const auto efficiency = [&](std::int64_t batches) {
        c.training.accumulate = batches * processes;
        return predict_scaling(c, processes, rates).efficiency;
      };
      const std::int64_t batches = predict_scaling(c, processes, rates).batches_for_90;
      EXPECT_GE(efficiency(batches), 0.9 - 1e-9) << link << " " << processes;
      if (batches > 1) {
        EXPECT_LT(efficiency(batches - 1), 0.9) << link << " " << processes;
      }
    }
  }
}

TEST_F(Scale, RefusesWhatCannotBe) {
  const Rates rates = rates_of(1e10, 1e9);
  const auto words = [&](int lanes, int processes, const Rates& of) {
    return words_of_error(ErrorKind::invalid_argument, [&] { predict_scaling(config(lanes), processes, of); });
  };
  EXPECT_NE(words(2, 4, rates).find("4 processes share training.lanes, of which there are 2"), std::string::npos);
  EXPECT_NE(words(2, 4, rates).find("; 2 would do, or from a run's beginning, 4 with --set training.lanes=4"),
            std::string::npos);
  EXPECT_NE(words(4, 3, rates).find("; 2 would do, or 4"), std::string::npos);  // its lanes are as they are
  EXPECT_EQ(words(2, 2, rates_of(0, 1e9)), "scaling: rates must be positive");
  EXPECT_EQ(words(2, 2, rates_of(1e10, std::nan(""))), "scaling: rates must be positive");
}

}  // namespace
}  // namespace longstride
