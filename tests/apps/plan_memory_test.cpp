// These tests hold the memory that a plan counts against the most that a run of it has had.
#include "apps/program.h"

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

}  // namespace
}  // namespace longstride
