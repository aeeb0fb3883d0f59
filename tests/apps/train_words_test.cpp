// What `longstride train` says: of settings, of runs that go on, of data that are pictures or of another kind.
#include <algorithm>

#include "apps/program.h"

namespace longstride {
namespace {

int times(const std::string& text, const std::string& word) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) ++count;
  return count;
}

class TrainWords : public Commands {
 protected:
  // Of a picture each, 4 x 4 x 3, as .npy has them.
  void write_pictures(const std::string& name, int count) const {
    std::string header =
        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + std::to_string(count) + ", 4, 4, 3), }";
    header.resize(118, ' ');
    header.back() = '\n';
    std::string array = std::string("\x93NUMPY\x01\x00", 8) + std::string("\x76\x00", 2) + header;
    for (int at = 0; at < count * 48; ++at) array += static_cast<char>(at * at % 251);
    write(name, array);
  }
  std::vector<std::string> on_pictures(const std::string& out) const {
    std::vector<std::string> arguments = {"train", "--data", path("pictures.npy"), "--out", path(out), "--steps", "2"};
    for (const char* set : {"model.context=48", "model.positions=[4,4,3]", "model.layers=1", "model.width=16",
                            "model.heads=2", "model.attention=local(9)", "data.split=[0.5,0.25,0.25]"})
      arguments.insert(arguments.end(), {"--set", set});
    return arguments;
  }
};

TEST_F(TrainWords, ARunThatGoesOnHasTheWeightsOfItsCheckpoint) {
  train(2);
  const Finished done = run({"train", "--resume", "--out", path("run"), "--steps", "3"});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("those of " + path("run/checkpoints/000000002") + ", after 2 steps\n"), std::string::npos)
      << done.err;
  EXPECT_EQ(done.err.find("random"), std::string::npos) << done.err;
  EXPECT_NE(done.err.find(" left, validation and samples aside\n"), std::string::npos) << done.err;
  const Finished fresh = run(training("train", {"--out", path("other"), "--steps", "1"}));
  EXPECT_NE(fresh.err.find("random, by seed 1\n"), std::string::npos) << fresh.err;
  EXPECT_NE(fresh.err.find("  1 step of 2 x 40 tokens"), std::string::npos) << fresh.err;
  EXPECT_NE(fresh.out.find("other, 1 step; checkpoint "), std::string::npos) << fresh.out;
}

// Of a run by the clock there is left what was not used before.
TEST_F(TrainWords, TimeLeftIsThatOfTheRest) {
  const pid_t process = start(training("train", {"--out", path("run"), "--minutes", "60"}));
  ASSERT_TRUE(comes([&] { return read("run/log.jsonl").size() > 600; }));
  ::kill(process, SIGTERM);
  EXPECT_EQ(finish(process).status, 130);
  const double before_s = run({"info", path("run"), "--checkpoint", "latest", "--json"}).json()["elapsed_s"];
  const std::string minutes = std::to_string((before_s + 2) / 60);
  const Finished done = run({"train", "--resume", "--out", path("run"), "--minutes", minutes});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::size_t at = done.err.find(" s left by the clock\n");
  ASSERT_NE(at, std::string::npos) << done.err;
  EXPECT_EQ(done.err.substr(done.err.rfind(' ', at - 1) + 1, 1), "2") << done.err;
}

TEST_F(TrainWords, ARunThatIsFinishedSaysSoAndWhatGoesOn) {
  train(2);
  const Finished done = run({"train", "--resume", "--out", path("run")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("longstride train: the run is finished, after its 2 steps; with --steps N or --minutes M, "
                          "counted from its beginning, it goes on\n"),
            std::string::npos)
      << done.err;
  EXPECT_NE(done.err.find("  the run is finished\n"), std::string::npos) << done.err;  // in the place of its time
  EXPECT_NE(done.out.find("test"), std::string::npos) << done.out;
}

TEST_F(TrainWords, ACheckpointIsSaidOnce) {
  const Finished done = run(training("train", {"--out", path("run"), "--steps", "3"}));
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(times(done.err, "saved "), 1) << done.err;
}

TEST_F(TrainWords, SettingsSayWhatTheyBeganWith) {
  const auto settings = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"plan", "--data", path("text")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run(arguments);
    const std::size_t at = done.out.find("\nsettings: ");
    EXPECT_NE(at, std::string::npos) << done.out << done.err;
    return done.out.substr(at + 11, done.out.find('\n', at + 1) - at - 11);
  };
  EXPECT_EQ(settings({}), "preset text-small, as none is named");
  EXPECT_EQ(settings({"--preset", "text-small"}), "preset text-small");
  EXPECT_EQ(settings({"--set", "model.heads=2"}),
            "the defaults and no preset, as model.heads is given; --preset NAME takes one all the same");
  EXPECT_EQ(settings({"--layers", "2", "--preset", "text-small"}), "preset text-small");
  write("own.json", "{\"model\": {\"width\": 64}}");
  EXPECT_EQ(settings({"--config", path("own.json")}), "no preset, " + path("own.json") + " over the defaults");
  const Finished done = run(training("train", {"--out", path("run"), "--steps", "0"}));
  EXPECT_NE(done.err.find("  the defaults and no preset, as model.context is given; "), std::string::npos) << done.err;
}

TEST_F(TrainWords, ARunOfNoMinutesIsRefused) {
  EXPECT_EQ(refused(training("train", {"--out", path("run"), "--minutes", "0"})),
            "longstride train: --minutes: needs a number above 0, got 0; --steps 0 writes the initial weights\n");
  EXPECT_EQ(refused(training("plan", {"--minutes", "0"})),
            "longstride plan: --minutes: needs a number above 0, got 0; --steps 0 writes the initial weights\n");
  train(2);
  EXPECT_EQ(refused({"train", "--resume", "--out", path("run"), "--minutes", "0"}),
            "longstride train: --minutes: needs a number above 0, got 0\n");
}

TEST_F(TrainWords, BitsOfPicturesArePerDimEverywhere) {
  write_pictures("pictures.npy", 12);
  const Finished done = run(on_pictures("run"));
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(times(done.err + done.out, "bits per byte"), 0) << done.err << done.out;
  EXPECT_EQ(times(done.err, "bits/byte"), 0) << done.err;
  EXPECT_GE(times(done.err, "bits/dim"), 1) << done.err;
  EXPECT_EQ(times(done.err, "bits per dim on validation"), 1) << done.err;
  EXPECT_EQ(times(done.out, "bits per dim"), 2) << done.out;  // of validation and of test
}

TEST_F(TrainWords, WeightsOfAnotherKindAreRefused) {
  train(1);
  write_pictures("pictures.npy", 12);
  const std::string sentence =
      refused({"train", "--init", path("run"), "--data", path("pictures.npy"), "--out", path("second")});
  EXPECT_NE(sentence.find("have learned text and mean nothing to pictures, which the data are; name data of their "
                          "kind, or train without --init\n"),
            std::string::npos)
      << sentence;
  ASSERT_EQ(run(on_pictures("third")).status, 0);
  EXPECT_NE(refused({"train", "--init", path("third"), "--data", path("text"), "--out", path("second")})
                .find("have learned pictures and mean nothing to text, which the data are; "),
            std::string::npos);
  EXPECT_FALSE(exists("second"));
  const Finished done = run({"train", "--init", path("third"), "--data", path("pictures.npy"), "--out", path("second"),
                             "--steps", "1", "--set", "data.split=[0.5,0.25,0.25]"});
  EXPECT_EQ(done.status, 0) << done.err;
}

TEST_F(TrainWords, APartThatIsEmptyIsSaid) {
  const auto said = [&](const std::string& name, const std::string& split) {
    const Finished done = run(training("train", {"--out", path(name), "--steps", "1", "--set", "data.split=" + split}));
    EXPECT_EQ(done.status, 0) << done.err;
    return done.err;
  };
  EXPECT_NE(said("one", "[0.9,0,0.1]")
                .find("the validation part is empty (data.split is [0.9, 0, 0.1]): nothing is validated, and no "
                      "checkpoint is known as the best\n"),
            std::string::npos);
  EXPECT_NE(said("two", "[1,0,0]").find("validation and test are empty (data.split is [1, 0, 0]): nothing is val"),
            std::string::npos);
  EXPECT_NE(said("three", "[0.9,0.1,0]").find("the test part is empty (data.split is [0.9, 0.1, 0]): there will be no"),
            std::string::npos);
  EXPECT_EQ(said("four", "[0.9,0.05,0.05]").find("empty"), std::string::npos);
}

TEST_F(TrainWords, DataThatAreNoTextAreNotLearnedWithoutAWord) {
  write("backup", std::string("\x1f\x8b\x08\0\0", 5) + std::string(4000, 'x'));
  EXPECT_EQ(refused({"train", "--data", path("backup"), "--out", path("run"), "--steps", "1"}),
            "longstride train: data.paths: \"/backup\" is packed, as its first bytes say; unpack it, or --set "
            "data.kind=text to take all bytes as they lie\n");
  for (const char* preset : {"text-small", "enwik8"})
    refused({"train", "--preset", preset, "--data", path("backup"), "--out", path("run"), "--steps", "1"});
  EXPECT_FALSE(exists("run"));
  std::string raw;
  for (int at = 0; at < 4000; ++at) raw += static_cast<char>(at * 7919 % 256);
  write("raw.bin", raw);
  const Finished done = run(training("train", {"--data", path("raw.bin"), "--out", path("raw"), "--steps", "1"}));
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("raw.bin\" is no text by its bytes, which are learned as they lie"), std::string::npos)
      << done.err;
}

TEST_F(TrainWords, WhatIsNextIsOfAPartThatIsThere) {
  const auto next = [&](const char* split) {
    const Finished done = run(training("train", {"--out", path(split), "--steps", "1", "--quiet", "--overwrite",
                                                 "--set", std::string("data.split=") + split}));
    return done.out.substr(done.out.find("longstride evaluate"));
  };
  EXPECT_NE(next("[0.8,0.1,0.1]").find("--split test --data"), std::string::npos);
  EXPECT_NE(next("[0.9,0.1,0]").find("--split valid --data"), std::string::npos);
  EXPECT_NE(next("[1,0,0]").find("--split all --data"), std::string::npos);
}

// The user's words end with 2, what the world makes of them with 1.
TEST_F(TrainWords, AFaultOfTheWorldIsNoneOfTheUser) {
  refused(training("train", {"--out", "/proc/nowhere/run", "--steps", "1"}), 1);
  refused(training("train", {"--out", "/dev/null/run", "--steps", "1"}), 1);
  std::filesystem::create_directories(path("pictures"));
  write("pictures/torn.png", "\x89PNG\r\n\x1a\n");
  refused({"train", "--data", path("pictures"), "--out", path("run"), "--steps", "1", "--quiet"}, 1);
  refused({"train", "--data", path("none"), "--out", path("run"), "--steps", "1"}, 2);
  const Finished cache = run({"info", "--data", path("pictures"), "--set", "data.image_size=[4,4]", "--set",
                              "data.cache=/proc/nowhere", "--quiet"});
  EXPECT_EQ(cache.status, 1);
  EXPECT_NE(cache.err.find("cannot make the folder \"/proc/nowhere\""), std::string::npos) << cache.err;
  refused(training("train", {"--set", "data.kind=image", "--out", path("run"), "--steps", "1"}), 2);
  refused({"info", path("text")}, 2);
}

}  // namespace
}  // namespace longstride
