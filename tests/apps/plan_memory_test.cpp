// These tests hold the memory that a plan counts against the most that a run of it has had.
#include <stdexcept>

#include "apps/launched.h"

namespace longstride {
namespace {

using PlanMemory = Commands;

// The loss of so many tokens needs more than all activations; weights and their kin are five times 34 MB.
TEST_F(PlanMemory, IsWhatARunOfALargeVocabularyHasAtItsPeak) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory lies beside every buffer";
#endif
  for (const char* precision : {"float32", "bfloat16"}) {
    std::vector<std::string> what = {"--data", path("text"), "--steps", "3"};
    for (const char* set :
         {"model.vocabulary=65536", "model.context=64", "model.layers=1", "model.width=64", "model.heads=2",
          "model.positions=[8,8]", "model.attention=dense", "training.batch=4", "training.sample_minutes=0"})
      what.insert(what.end(), {"--set", set});
    what.insert(what.end(), {"--precision", precision});
    std::vector<std::string> plan = {"plan", "--json"}, train = {"train", "--quiet", "--out", path(precision)};
    plan.insert(plan.end(), what.begin(), what.end());
    train.insert(train.end(), what.begin(), what.end());
    const nlohmann::json bytes = run(plan).json()["bytes"];
    ASSERT_TRUE(bytes.is_object());
    // A block of 128 rows, all their logits in float32.
    EXPECT_GE(bytes["workspace"].get<std::int64_t>(), 128 * 65536 * 4);
    const Finished done = run(train);
    ASSERT_EQ(done.status, 0) << done.err;
    const auto planned = bytes["total"].get<double>(), used = static_cast<double>(done.peak_bytes);
    EXPECT_NEAR(used, planned, 0.05 * planned) << precision << " " << bytes;
  }
}

// Of several processes the largest counts, which is the first or as large: what mpirun's children have had at most.
class PlanMemoryOfProcesses : public Launched {
 protected:
  // What is planned in bytes, by name, which is what was used.
  nlohmann::json planned(int processes, const std::string& precision, const std::vector<std::string>& sets) {
    std::vector<std::string> what = {"--data", path("text"), "--steps", "2", "--threads", "1"};
    for (const std::string& set : sets) what.insert(what.end(), {"--set", set});
    const std::string name = precision + std::to_string(processes);
    std::vector<std::string> plan = {"plan", "--json", "--processes", std::to_string(processes)},
                             train = {"train", "--quiet", "--out", path(name)};
    for (std::vector<std::string>* command : {&plan, &train}) {
      command->insert(command->end(), what.begin(), what.end());
      command->insert(command->end(), {"--precision", precision});
    }
    const nlohmann::json told = run(plan).json();
    if (!told.is_object()) throw std::runtime_error("no plan of " + name);
    const Finished done = run_by(processes, train);
    EXPECT_EQ(done.status, 0) << done.err;
    const auto total = told["bytes"]["total"].get<double>(), used = static_cast<double>(done.peak_bytes);
    EXPECT_NEAR(used, total, 0.05 * total) << name << " " << told;
    return told["bytes"];
  }
};

TEST_F(PlanMemoryOfProcesses, IsWhatTheFirstHasAtItsPeak) {
  const std::vector<std::string> sets = {"model.vocabulary=65536", "model.context=64", "model.layers=1",
                                         "model.width=128",        "model.heads=2",    "model.positions=[8,8]",
                                         "model.attention=dense",  "training.batch=1", "training.sample_minutes=0",
                                         "training.accumulate=4",  "training.lanes=4"};
  planned(4, "float32", sets);
  double before = planned(1, "bfloat16", sets)["total"].get<double>();
  for (const int processes : {2, 4}) {
    const double now = planned(processes, "bfloat16", sets)["total"].get<double>();
    EXPECT_LT(now, before) << processes;  // it shrinks with their number
    before = now;
  }
}

// Tables whose rows are few that a step uses: what goes from process to process takes little beside them.
TEST_F(PlanMemoryOfProcesses, IsThatOfRowsWhereTablesGoByRows) {
  const std::vector<std::string> sets = {"model.context=64",
                                         "model.layers=1",
                                         "model.width=64",
                                         "model.heads=2",
                                         "model.positions=[8,8]",
                                         "model.attention=dense",
                                         "model.hash_orders=[2,3,4]",
                                         "model.hash_buckets=65536",
                                         "training.batch=1",
                                         "training.sample_minutes=0",
                                         "training.accumulate=4",
                                         "training.lanes=4"};
  constexpr std::int64_t kTables = 3 * 65536 * 64 * 4;
  for (const char* precision : {"float32", "bfloat16"}) {
    const nlohmann::json bytes = planned(2, precision, sets);
    EXPECT_GT(bytes["exchange"], 0);
    EXPECT_LT(bytes["exchange"], kTables / 25) << precision;
  }
}

}  // namespace
}  // namespace longstride
