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

// Whatever folder a run lies in, and by whatever way it is named; other files in its folder are the user's.
TEST_F(Commands, WriteOverNothingOfAnyRun) {
  namespace fs = std::filesystem;
  train(2);
  fs::copy(path("run"), path("other"), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  fs::create_symlink("other/config.json", root_ / "link.txt");
  fs::create_symlink("other/samples/none.txt", root_ / "nowhere.html");
  fs::create_symlink("other/log.jsonl", root_ / "many-002.txt");
  const std::vector<std::string> sample = {"sample", path("run"), "--tokens", "5", "--out"},
                                 page = {"evaluate", path("run"), "--data", path("text"), "--page"},
                                 window = {"info", "--data", path("text"), "--window"},
                                 picture = {"pattern", "dense", "--length", "8", "--picture"},
                                 looks = {"attention", path("run"), "--prime", path("text"), "--picture"},
                                 training = this->training("train", {"--steps", "1", "--out"});
  const std::vector<std::pair<std::vector<std::string>, std::string>> refused = {
      {page, path("other/checkpoints/000000002/model.safetensors")},
      {page, path("nowhere.html")},
      {sample, path("other/config.json")},
      {sample, path("other/best")},
      {sample, path("other/samples/mine/")},
      {sample, path("run/../other/checkpoints/../log.jsonl")},
      {sample, path("link.txt")},
      {sample, path("run/cache/x.txt")},
      {window, path("other/config.json.9-1.partial")},
      {picture, path("other/tensorboard/drawn.svg")},
      {looks, path("other/best/looks.png")},
      {training, path("other/samples/run")}};
  std::map<std::string, std::string> before;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root_ / "other"))
    before[entry.path().string()] = entry.is_regular_file() ? read(entry.path().string()) : "";
  const std::string belongs = " belongs to the run \"" + fs::canonical(path("other")).string() + "\"; name another ";
  const auto expect_refused = [&](std::vector<std::string> words, const std::string& place) {
    words.push_back(place);
    const Finished done = run(words);
    EXPECT_EQ(done.status, 2) << words[0] << place;
    const bool own = place.find("/run/cache") != std::string::npos;
    EXPECT_NE(done.err.find(own ? " belongs to the run \"" : belongs), std::string::npos) << done.err;
    EXPECT_EQ(std::count(done.err.begin(), done.err.end(), '\n'), 1) << done.err;
  };
  for (const auto& [words, place] : refused) expect_refused(words, place);
  expect_refused({"sample", path("run"), "--tokens", "5", "--count", "3", "--out"}, path("many.txt"));
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root_ / "other")) {
    ASSERT_TRUE(before.contains(entry.path().string())) << entry;
    EXPECT_TRUE(!entry.is_regular_file() || before[entry.path().string()] == read(entry.path().string())) << entry;
    before.erase(entry.path().string());
  }
  EXPECT_TRUE(before.empty());
  for (const std::string own : {"other/page.txt", "other/notes/config.json"}) {
    fs::create_directories((root_ / own).parent_path());
    EXPECT_EQ(run({"sample", path("run"), "--tokens", "5", "--out", path(own)}).status, 0) << own;
  }
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
    EXPECT_EQ(
        refused({"evaluate", path("run"), "--data", path("text"), "--page", "-", both}),
        "longstride evaluate: " + both + " and --page -: one of them can be on standard output; name another file\n");
  dashed.push_back("--json");
  EXPECT_EQ(refused(dashed),
            "longstride sample: --json and --out -: one of them can be on standard output; name another file\n");
  EXPECT_EQ(refused({"info", "--data", path("text"), "--window", "-"}),
            "longstride info: --window: needs the name of a file, got \"-\"\n");
  for (const std::string where : {"", "run/"}) EXPECT_FALSE(exists(where + "-"));
  input_ = path("text");
  EXPECT_EQ(run({"sample", path("run"), "--prime", "-", "--tokens", "0", "--quiet"}).out, read("text"));
}

// By another name too, and by that of the file that it goes to; what goes to /dev/null is no one's.
TEST_F(Commands, PrintNothingBesideTheObjectOfJson) {
  train(1);
  for (const std::string ending : {"", ".png", ".svg"})
    std::filesystem::create_symlink("/dev/stdout", root_ / ("link" + ending));
  std::filesystem::create_symlink("out", root_ / "out.png");  // "out": where standard output goes to in tests
  const std::vector<std::string> sample = {"sample", path("run"), "--tokens", "5", "--json", "--out"},
                                 page = {"evaluate", path("run"), "--data", path("text"), "--json", "--page"},
                                 bytes = {"evaluate", path("run"), "--data", path("text"), "--per-byte", "--page"},
                                 window = {"info", "--data", path("text"), "--json", "--window"},
                                 picture = {"pattern", "dense", "--length", "8", "--json", "--picture"},
                                 looks = {"attention", path("run"), "--prime", path("text"), "--json", "--picture"};
  const auto with = [](std::vector<std::string> words, const std::string& place) {
    words.push_back(place);
    return words;
  };
  for (const std::string& place : {std::string("/dev/stdout"), std::string("/dev/fd/1"), std::string("/proc/self/fd/1"),
                                  path("link"), path("out")})
    for (const auto& words : {sample, page, bytes, window})
      EXPECT_NE(refused(with(words, place)).find(": one of them can be on standard output; name another file\n"),
                std::string::npos)
          << words[0] << place;
  EXPECT_NE(refused(with(picture, path("link.svg"))).find("standard output"), std::string::npos);
  for (const std::string name : {"link.png", "out.png"})
    EXPECT_NE(refused(with(looks, path(name))).find("standard output"), std::string::npos);
  EXPECT_EQ(run(with(sample, "/dev/null"), "/dev/null").status, 0);
  EXPECT_EQ(run(with(sample, "/dev/null")).json()["tokens"], 5);
}

}  // namespace
}  // namespace longstride
