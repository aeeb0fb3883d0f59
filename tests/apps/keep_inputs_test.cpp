// What a command reads stays as it is, whatever it is told to write.
#include <map>
#include <string>
#include <vector>

#include "apps/program.h"

namespace longstride {
namespace {

TEST_F(Commands, WriteOverNothingThatTheyRead) {
  train(2);
  write("prompt.txt", "of what was given");
  const std::string model = "run/checkpoints/000000002/model.safetensors";
  const std::vector<std::vector<std::string>> refused = {
      {"evaluate", path("run"), "--data", path("text"), "--page", path("text")},
      {"evaluate", path("run"), "--data", path("text"), "--page", path("run/config.json")},
      {"evaluate", path("run"), "--data", path("text"), "--page", path(model)},
      {"sample", path("run"), "--prime", path("prompt.txt"), "--out", path("prompt.txt")},
      {"sample", path("run"), "--out", path("run/log.jsonl")},
      {"info", "--data", path("text"), "--window", path("text")},
      {"train", "--init", path("run"), "--data", path("text"), "--out", path("run"), "--overwrite"},
  };
  std::map<std::string, std::string> before;
  for (const std::string name : {"text", "prompt.txt", "run/config.json", "run/log.jsonl"}) before[name] = read(name);
  before[model] = read(model);
  for (const std::vector<std::string>& words : refused) {
    const Finished done = run(words);
    EXPECT_EQ(done.status, 2) << words[0] << "\n" << done.err;
    EXPECT_NE(done.err.find("; name another"), std::string::npos) << done.err;
  }
  for (const auto& [name, bytes] : before) EXPECT_TRUE(read(name) == bytes) << name;
  for (int times = 0; times < 2; ++times)  // what was made before is made anew
    EXPECT_EQ(run({"evaluate", path("run"), "--data", path("text"), "--page", path("run/page.html")}).status, 0);
}

}  // namespace
}  // namespace longstride
