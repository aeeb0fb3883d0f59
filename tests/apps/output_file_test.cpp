// What a command reads stays as it is, whatever it is told to write; and what it cannot write is known before the work.
#include <filesystem>
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
      {"attention", path("run"), "--prime", path("text"), "--picture", path("text")},
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

// A command with a place to write to, and the form of a name that it takes there.
struct Writing {
  std::vector<std::string> words;  // the option is the last of them
  std::string ending;              // of names that it takes
};

std::vector<Writing> writings(const Commands& at) {
  const std::string run = at.path("run"), text = at.path("text");
  return {{{"evaluate", run, "--data", text, "--page"}, ".html"},
          {{"sample", run, "--tokens", "5", "--out"}, ".txt"},
          {{"info", "--data", text, "--window"}, ".txt"},
          {{"attention", run, "--prime", text, "--picture"}, ".png"},
          {{"pattern", "dense", "--length", "8", "--picture"}, ".svg"}};
}

TEST_F(Commands, KnowBeforeTheWorkWhetherTheyCanWrite) {
  train(1);
  std::filesystem::create_directory(path("folder.png"));
  for (const std::string ending : {".html", ".txt", ".svg"}) std::filesystem::create_directory(path("folder" + ending));
  for (const Writing& one : writings(*this)) {
    const auto with = [&](const std::string& place) {
      std::vector<std::string> words = one.words;
      words.push_back(place);
      return words;
    };
    const std::string begin = "longstride " + one.words[0] + ": " + one.words.back() + ": cannot write \"";
    const std::string name = "/none/a" + one.ending, folder = "/folder" + one.ending;
    EXPECT_EQ(refused(with(path("none/a" + one.ending))), begin + name + "\": No such file or directory\n");
    EXPECT_EQ(refused(with(path("text/a" + one.ending))), begin + "/text/a" + one.ending + "\": Not a directory\n");
    EXPECT_EQ(refused(with("/proc/none/a" + one.ending)),
              begin + "/proc/none/a" + one.ending + "\": No such file or directory\n");
    if (one.words.back() != "--out") {  // which takes folders
      EXPECT_EQ(refused(with(path("folder" + one.ending))), begin + folder + "\": Is a directory\n");
    }
    EXPECT_EQ(run(with(path("a" + one.ending))).status, 0) << one.words[0];
    EXPECT_TRUE(exists("a" + one.ending));
  }
  EXPECT_EQ(run({"sample", path("run"), "--tokens", "5", "--count", "3", "--out", path("many/more/")}).status, 0);
  EXPECT_TRUE(exists("many/more/003.txt"));  // folders are made
}

TEST_F(Commands, WriteUnderNoNameOfAnotherForm) {
  train(1);
  for (const Writing& one : writings(*this)) {
    for (const std::string ending : {".png", ".PNG", ".wav", ".html", ".txt"}) {
      const bool picture = one.words.back() == "--picture";
      const bool fits = picture ? ending == ".png" || ending == ".PNG" : ending == ".html" || ending == ".txt";
      std::vector<std::string> words = one.words;
      words.push_back(path("a" + ending));
      const Finished done = run(words);
      EXPECT_EQ(done.status, fits ? 0 : 2) << one.words[0] << ending << done.err;
      EXPECT_EQ(done.err.find("needs a name that ends in ") == std::string::npos, fits) << done.err;
    }
  }
}

TEST_F(Commands, TakeADashForStandardOutputWhereThatCanBe) {
  train(1);
  const Finished page = run({"evaluate", path("run"), "--data", path("text"), "--bytes", "50", "--page", "-"});
  ASSERT_EQ(page.status, 0) << page.err;
  EXPECT_TRUE(page.out.starts_with("<!DOCTYPE html>")) << page.out;
  EXPECT_TRUE(page.out.ends_with("</html>\n"));
  EXPECT_NE(page.err.find(" bits per byte "), std::string::npos) << page.err;
  const std::vector<std::string> sample = {"sample", path("run"), "--tokens", "20", "--quiet"};
  std::vector<std::string> dashed = sample;
  dashed.insert(dashed.end(), {"--out", "-"});
  EXPECT_EQ(run(dashed).out, run(sample).out);
  for (const std::string both : {"--json", "--per-byte"})
    EXPECT_EQ(refused({"evaluate", path("run"), "--data", path("text"), "--page", "-", both}),
              "longstride evaluate: " + both +
                  " and --page -: one of them can be on standard output; name a file for the page\n");
  dashed.push_back("--json");
  EXPECT_EQ(refused(dashed), "longstride sample: --json and --out -: one of them can be on standard output\n");
  EXPECT_EQ(refused({"info", "--data", path("text"), "--window", "-"}),
            "longstride info: --window: needs the name of a file, got \"-\"\n");
  for (const std::string where : {"", "run/"}) EXPECT_FALSE(exists(where + "-"));
  input_ = path("text");
  EXPECT_EQ(run({"sample", path("run"), "--prime", "-", "--tokens", "0", "--quiet"}).out, read("text"));
}

}  // namespace
}  // namespace longstride
