// These tests hold the memory that a plan counts against the most that a run of it has had.
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
class PlanMemoryOfProcesses : public Launched {};

TEST_F(PlanMemoryOfProcesses, IsWhatTheFirstHasAtItsPeak) {
  std::vector<std::string> what = {"--data", path("text"), "--steps", "2", "--threads", "1"};
  for (const char* set :
       {"model.vocabulary=65536", "model.context=64", "model.layers=1", "model.width=128", "model.heads=2",
        "model.positions=[8,8]", "model.attention=dense", "training.batch=1", "training.sample_minutes=0",
        "training.accumulate=4", "training.lanes=4"})
    what.insert(what.end(), {"--set", set});
  double before = 0;
  for (const auto& [precision, processes] :
       {std::pair("float32", 4), std::pair("bfloat16", 1), std::pair("bfloat16", 2), std::pair("bfloat16", 4)}) {
    const std::string name = precision + std::to_string(processes);
    std::vector<std::string> plan = {"plan", "--json", "--processes", std::to_string(processes)},
                             train = {"train", "--quiet", "--out", path(name)};
    for (std::vector<std::string>* command : {&plan, &train}) {
      command->insert(command->end(), what.begin(), what.end());
      command->insert(command->end(), {"--precision", precision});
    }
    const nlohmann::json told = run(plan).json();
    ASSERT_TRUE(told.is_object());
    const Finished done = run_by(processes, train);
    ASSERT_EQ(done.status, 0) << done.err;
    const auto planned = told["bytes"]["total"].get<double>(), used = static_cast<double>(done.peak_bytes);
    EXPECT_NEAR(used, planned, 0.05 * planned) << name << " " << told;
    if (processes > 1 && std::string(precision) == "bfloat16") {
      EXPECT_LT(planned, before) << name;  // it shrinks with their number
    }
    before = planned;
  }
}

}  // namespace
}  // namespace longstride
