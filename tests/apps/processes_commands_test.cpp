// These tests start commands several times by mpirun: each answers once, with the bytes of one process.
#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "apps/launched.h"
#include "io/file.h"
#include "io/wav.h"
#include "longstride/image.h"
#include "longstride/sound.h"

namespace longstride {
namespace {

class ProcessesCommands : public Launched {
 protected:
  // Text of several batches of windows, and a run that has learned from the usual one.
  void trained() {
    std::string text;
    for (int line = 0; text.size() < 120'000; ++line) text += "line " + std::to_string(line * line % 9973) + "\n";
    write("long", text);
    train(4);
  }

  std::vector<std::string> evaluation(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"evaluate", path("run"), "--data", path("long"), "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // What is in a folder, by name.
  std::map<std::string, std::string> files(const std::string& folder) const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path(folder)))
      all[entry.path().filename().string()] = read(folder + "/" + entry.path().filename().string());
    return all;
  }

  // Samples of `count` into a folder, by one process and by several: the same files and the same JSON.
  void expect_same_samples(const std::vector<std::string>& options) {
    const auto made = [&](int processes) {
      std::vector<std::string> arguments = {"sample",    path("run"), "--json", "--quiet",
                                            "--threads", "1",         "--out",  path("made/")};
      arguments.insert(arguments.end(), options.begin(), options.end());
      const Finished done = run_by(processes, arguments);
      EXPECT_EQ(done.status, 0) << done.err;
      EXPECT_EQ(done.err, "");
      std::pair<std::string, std::map<std::string, std::string>> all = {done.out, files("made")};
      std::filesystem::remove_all(path("made"));
      return all;
    };
    const auto one = made(1);
    EXPECT_GT(one.second.size(), 1u);
    for (const int processes : {2, 4}) EXPECT_EQ(made(processes), one) << processes;
  }

  Finished train_media(const std::string& data, const std::vector<std::string>& sets) const {
    std::vector<std::string> arguments = {"train",   "--data", path(data),  "--out", path("run"),
                                          "--steps", "1",      "--threads", "1",     "--quiet"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    for (const char* set : {"model.layers=1", "model.width=16", "model.heads=2", "model.attention=local(9)",
                            "training.precision=float32", "training.sample_minutes=0"})
      arguments.insert(arguments.end(), {"--set", set});
    return run(arguments);
  }
};

TEST_F(ProcessesCommands, EvaluateGivesTheJsonOfOneProcessToTheLastDigit) {
  trained();
  const auto told = [&](int processes) {
    const Finished done = run_by(processes, evaluation({"--json", "--quiet", "--min-context", "7"}));
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    std::string text = done.out;
    const std::size_t at = text.find("\"seconds\":");
    EXPECT_NE(at, std::string::npos) << text;
    return text.substr(0, at);
  };
  const std::string one = told(1);
  for (const int processes : {2, 4}) EXPECT_EQ(told(processes), one) << processes;
  const Finished words = run_by(3, evaluation({}));
  EXPECT_EQ(count_of(words.out, "bits per byte"), 1) << words.out;
  EXPECT_EQ(count_of(words.err, "100%"), 1) << words.err;
}

TEST_F(ProcessesCommands, SampleGivesTheBytesOfOneProcess) {
  trained();
  const std::vector<std::string> options = {"sample",   path("run"), "--count",   "5", "--tokens", "70",
                                            "--prompt", "of",        "--threads", "1", "--quiet"};
  const Finished one = run(options);
  ASSERT_EQ(one.status, 0) << one.err;
  for (const int processes : {2, 4}) EXPECT_EQ(run_by(processes, options).out, one.out) << processes;
  expect_same_samples({"--count", "5", "--tokens", "70"});
  std::vector<std::string> single = options;
  single[3] = "1";
  EXPECT_EQ(run_by(3, single).out, run(single).out);
}

TEST_F(ProcessesCommands, SampleWritesThePicturesOfOneProcess) {
  std::filesystem::create_directory(root_ / "pictures");
  for (int i = 0; i < 8; ++i) {
    Image image{4, 6, 3, {}};
    for (int at = 0; at < 72; ++at) image.bytes.push_back(static_cast<std::uint8_t>((at + i) * at % 253));
    write_png(image, path("pictures/" + std::to_string(i) + ".png"));
  }
  const Finished done =
      train_media("pictures", {"data.image_size=[6,4]", "model.context=72", "model.positions=[6,4,3]"});
  ASSERT_EQ(done.status, 0) << done.err;
  expect_same_samples({"--count", "6"});
}

TEST_F(ProcessesCommands, SampleWritesTheSoundOfOneProcess) {
  Sound sound{8000, {}};
  for (int i = 0; i < 4000; ++i) sound.samples.push_back(static_cast<std::int16_t>(i * i % 20011 - 10000));
  write_file_atomically(path("song.wav"), encode_wav(sound));
  const Finished done =
      train_media("song.wav", {"data.sample_rate=8000", "model.context=50", "model.positions=[10,5]"});
  if (done.err.find("libsndfile") != std::string::npos) GTEST_SKIP() << "this build reads no sound";
  expect_same_samples({"--count", "5", "--tokens", "600"});
}

TEST_F(ProcessesCommands, OthersAnswerOnce) {
  trained();
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"info", path("run")},
                                             {"pattern", "fixed(7,2)", "--length", "40", "--json"},
                                             {"sample", "--help"},
                                             {"--version"}}) {
    const Finished one = run(command), several = run_by(3, command);
    EXPECT_EQ(several.status, one.status) << command[0];
    EXPECT_EQ(several.out, one.out) << command[0];
    EXPECT_EQ(several.err, one.err) << command[0];
  }
  nlohmann::json plan = run({"plan", "--json"}).json(),
                 by_several = run_by(3, {"plan", "--json"}).json();  // one object
  for (const char* measured : {"memory_available_bytes", "step_s", "run_s"})
    plan.erase(measured), by_several.erase(measured);
  EXPECT_EQ(by_several, plan);
}

TEST_F(ProcessesCommands, SayOnceWhatIsWrong) {
  trained();
  const auto expect_once = [&](const std::vector<std::string>& command, const std::string& words) {
    const Finished done = run_by(3, command);
    EXPECT_EQ(done.status, 2) << done.err;
    EXPECT_EQ(done.out, "");
    EXPECT_EQ(count_of(done.err, words), 1) << done.err;
  };
  expect_once({"sample", path("run"), "--temprature", "1"}, "`longstride sample --help` lists what there is");
  expect_once({"sample", path("run"), "--top-p", "7"}, "top-p: needs");
  expect_once(evaluation({"--offset", "99999999"}), "--offset: needs a whole number");
  expect_once({"info", path("none")}, "does not exist; name a run directory");
}

// One of them is given data that are not there: the others, which wait for it, end too.
TEST_F(ProcessesCommands, EndWhereOneOfThemFails) {
  trained();
  launch(1);
#ifdef LONGSTRIDE_MPIRUN
  std::vector<std::string> arguments = evaluation(
      {"--json", ":", "-np", "1", LONGSTRIDE_PROGRAM, "evaluate", path("run"), "--data", path("none"), "--json"});
  launcher_ = {LONGSTRIDE_MPIRUN, "-np", "2"};
  const Finished done = run(arguments);
  EXPECT_EQ(done.status, 2) << done.err;
  EXPECT_EQ(done.out, "");
  EXPECT_EQ(count_of(done.err, "cannot open"), 1) << done.err;
#endif
}

TEST_F(ProcessesCommands, StopInAllWhereOneIsTold) {
  trained();
  launch(3);
  const pid_t launcher = start({"sample", path("run"), "--tokens", "100000000", "--count", "3", "--threads", "1"});
  std::vector<pid_t> children;
  for (int tries = 0; tries < 200 && (children.size() < 3 || read("out").size() < 100); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    children = children_of(launcher);
  }
  ASSERT_EQ(children.size(), 3u) << read("err");
  ::kill(children[2], SIGTERM);
  const Finished done = finish(launcher);
  EXPECT_EQ(done.status, 130) << done.err;
  EXPECT_EQ(count_of(done.err, "longstride sample: interrupted; what was made until then is printed"), 1) << done.err;
}

}  // namespace
}  // namespace longstride
