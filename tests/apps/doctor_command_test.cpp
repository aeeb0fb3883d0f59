// These tests run `longstride doctor` as a person does: every instruction set of the machine, what it prints, what it
// leaves behind.
#include <algorithm>
#include <set>

#include "apps/program.h"
#include "longstride/device.h"
#include "ops/backend.h"

namespace longstride {
namespace {

using nlohmann::json;

class DoctorCommand : public Commands {};

TEST_F(DoctorCommand, TellsEveryCheckOfEveryInstructionSetAsOneObject) {
  const Finished done = run({"doctor", "--json", "--quiet", "--cases", "1", "--folder", root_.string()});
  EXPECT_EQ(done.err, "");
  const json result = done.json();
  ASSERT_TRUE(result.is_object()) << done.out;
  EXPECT_EQ(done.status, result["wrong"] == 0 ? 0 : 1);
  EXPECT_EQ(result["instruction_sets"], json(machine_info().instruction_sets));
  std::map<std::string, std::set<std::string>> checks;  // by instruction set
  std::int64_t slow = 0;
  for (const json& one : result["checks"]) {
    const bool of_a_set = one["instruction_set"].is_string();
    checks[of_a_set ? one["instruction_set"].get<std::string>() : ""].insert(one["check"]);
    EXPECT_NE(one["sentence"], "");
    EXPECT_TRUE(one["figures"].is_object());
    slow += one["verdict"] == "slow" ? 1 : 0;
    EXPECT_TRUE(one["verdict"] == "ok" || one["verdict"] == "slow" || one["check"] == "disk" ||
                one["check"] == "memory")
        << one;
  }
  EXPECT_EQ(result["slow"], slow);
  const std::set<std::string> computing = {"embed",
                                           "embed_backward",
                                           "residual_norm",
                                           "residual_norm_backward",
                                           "linear",
                                           "linear_backward_data",
                                           "linear_backward_weights",
                                           "attention",
                                           "decode_attention",
                                           "cache_rows",
                                           "vocabulary_loss",
                                           "sum_bits",
                                           "gradient_norm",
                                           "adamw",
                                           "pack_rows",
                                           "sum_rows",
                                           "put_rows",
                                           "zero, round, exchange",
                                           "gradients",
                                           "decoding",
                                           "threads"};
  for (const std::string& set : machine_info().instruction_sets)
    EXPECT_TRUE(std::includes(checks[set].begin(), checks[set].end(), computing.begin(), computing.end())) << set;
  EXPECT_EQ(checks[""], (std::set<std::string>{"disk", "memory", "checkpoint", "resumption"}));
  for (const char* speed : {"cores", "float32 products", "memory bandwidth"})
    EXPECT_TRUE(checks[machine_info().instruction_set].contains(speed)) << speed;
  for (const auto& entry : std::filesystem::directory_iterator(root_))
    EXPECT_EQ(entry.path().string().find("longstride-doctor"), std::string::npos) << entry.path();
}

TEST_F(DoctorCommand, SaysALineACheckAndThenAll) {
  const Finished done = run({"doctor", "--part", "computing", "--cases", "1", "--quiet"});
  EXPECT_EQ(done.status, 0) << done.out;
  EXPECT_EQ(done.err, "");
  const auto lines = std::count(done.out.begin(), done.out.end(), '\n');
  EXPECT_EQ(lines, 23 * static_cast<std::ptrdiff_t>(machine_info().instruction_sets.size()) + 1);
  EXPECT_TRUE(done.out.starts_with("ok    scalar       embed ")) << done.out;
  EXPECT_NE(done.out.find(" checks: everything is as it should be\n"), std::string::npos) << done.out;
}

TEST_F(DoctorCommand, LooksAtTheInstructionSetThatItIsTold) {
  ::setenv("LONGSTRIDE_ISA", "scalar", 1);
  const Finished done = run({"doctor", "--part", "computing", "--cases", "1", "--json", "--quiet"});
  ::unsetenv("LONGSTRIDE_ISA");
  EXPECT_EQ(done.status, 0) << done.err;
  const json result = done.json();
  EXPECT_EQ(result["checks"].size(), 23u);
  for (const json& one : result["checks"]) EXPECT_EQ(one["instruction_set"], "scalar");
}

TEST_F(DoctorCommand, RefusesWhatCannotBeInOneSentence) {
  EXPECT_EQ(refused({"doctor", "--part", "everything"}),
            "longstride doctor: --part: needs all, computing, storage or speed, got \"everything\"\n");
  EXPECT_EQ(refused({"doctor", "--cases", "0"}),
            "longstride doctor: --cases: needs a whole number in [1, 1000], got 0\n");
  EXPECT_EQ(refused({"doctor", "--part", "storage", "--folder", path("none")}),
            "longstride doctor: cannot write \"/none\": No such file or directory\n");
  EXPECT_EQ(refused({"doctor", "--part", "storage", "--device", "cuda"}, 1),
            "longstride doctor: device: " + why_no_cuda() + "; needs cpu\n");
}

}  // namespace
}  // namespace longstride
