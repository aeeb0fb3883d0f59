// Runs that go on with more, begin with another's weights, keep what was set, and are looked at side by side.
#include "apps/program.h"
#include "longstride/device.h"
#include "longstride/image.h"

namespace longstride {
namespace {

using nlohmann::json;

class GoingOnCommands : public Commands {
 protected:
  json config_of(const std::string& run) const { return json::parse(read(run + "/config.json")); }
};

TEST_F(GoingOnCommands, ARunGoesOnBeyondItsEndAndSaysBySchedule) {
  train(3);
  const Finished done = run({"train", "--resume", "--out", path("run"), "--steps", "5", "--json"});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.json()["step"], 5);
  EXPECT_NE(
      done.err.find("the run of 3 steps becomes one of 5 steps: from step 4 on its learning rate is that of such a"),
      std::string::npos)
      << done.err;
  EXPECT_EQ(config_of("run")["training"]["steps"], 5);
  EXPECT_EQ(refused({"train", "--resume", "--out", path("run"), "--steps", "4"}),
            "longstride train: --steps: counts from the run's beginning, and it has made 5 steps; needs at least as "
            "many, got 4\n");
}

TEST_F(GoingOnCommands, ARunBeginsWithTheModelAndTheWeightsOfAnother) {
  train(3);
  write("other", std::string(3000, 'x') + read("text"));
  const Finished done = run({"train", "--init", path("run"), "--data", path("other"), "--out", path("second"),
                             "--steps", "2", "--set", "model.context=20"});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("weights    those of "), std::string::npos) << done.err;
  const json config = config_of("second");
  EXPECT_EQ(config["model"]["width"], 16);
  EXPECT_EQ(config["model"]["context"], 20);
  EXPECT_EQ(config["training"]["learning_rate"], 0.01);
  EXPECT_EQ(config["data"]["paths"], json({path("other")}));
  EXPECT_EQ(config["training"]["init_sha256"].get<std::string>().size(), 64u);
  EXPECT_NE(run({"info", path("second")}).out.find("begun with  the weights of "), std::string::npos);
  const auto init = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train",      "--init", path("run"),  "--data",
                                          path("text"), "--out",  path("third")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return refused(arguments);
  };
  EXPECT_NE(init({"--set", "model.vocabulary=300"}).find("the vocabularies must be the same"), std::string::npos);
  EXPECT_NE(init({"--set", "model.context=50"}).find("hold positions for contexts of up to 42 tokens, got 50"),
            std::string::npos);
  EXPECT_EQ(init({"--preset", "text-small"}),
            "longstride train: --init and --preset: a model is one of theirs, got both\n");
  EXPECT_NE(
      refused({"train", "--init", path("none"), "--data", path("text"), "--out", path("third")}).find("--init: \""),
      std::string::npos);
  EXPECT_FALSE(exists("third"));
}

TEST_F(GoingOnCommands, ThreadsThatWereSetStaySetForTheSessionsAfter) {
  ASSERT_EQ(run(training("train", {"--out", path("run"), "--steps", "2", "--threads", "1"})).status, 0);
  EXPECT_EQ(config_of("run")["training"]["threads"], 1);
  const Finished more = run({"train", "--resume", "--out", path("run"), "--steps", "3"});
  EXPECT_NE(more.err.find(", 1 thread\n"), std::string::npos) << more.err;
  EXPECT_EQ(config_of("run")["training"]["threads"], 1);
}

TEST_F(GoingOnCommands, RunsAreComparedByWhatDiffers) {
  train(3);
  ASSERT_EQ(run(training("train", {"--out", path("wide"), "--steps", "2", "--set", "model.width=32"})).status, 0);
  const Finished words = run({"info", path("run"), path("wide")});
  ASSERT_EQ(words.status, 0) << words.err;
  for (const char* row : {"\n  model.width ", "\n  step ", "\n  best bits ", "\n  tokens/s ", "\n  checkpoints "})
    EXPECT_NE(words.out.find(row), std::string::npos) << row << words.out;
  EXPECT_EQ(words.out.find("model.heads"), std::string::npos) << words.out;  // the same in both
  const json both = run({"info", path("run"), path("wide"), "--json"}).json();
  EXPECT_EQ(both["differs"]["model.width"], json({16, 32}));
  EXPECT_EQ(both["runs"][1]["step"], 2);
  EXPECT_EQ(both["runs"][0]["checkpoints"], json({3}));
  EXPECT_GT(both["runs"][0]["tokens_per_s"], 0);
  EXPECT_EQ(both["runs"][0]["valid_bits"], both["runs"][0]["best_bits"]);
}

TEST_F(GoingOnCommands, DataAreLookedAtBeforeTheyAreTrainedOn) {
  const Finished words = run({"info", "--data", path("text")});
  ASSERT_EQ(words.status, 0) << words.err;
  EXPECT_NE(words.out.find("bits per byte by their frequencies alone"), std::string::npos) << words.out;
  EXPECT_NE(words.out.find("\nline 0 of the text\nline 1 of the text\n"), std::string::npos) << words.out;
  const json preview = run({"info", "--data", path("text"), "--json", "--window", path("window")}).json();
  const std::string text = read("text");
  EXPECT_EQ(preview["kind"], "text");
  EXPECT_EQ(preview["bytes"], text.size());
  EXPECT_EQ(preview["train_bytes"].get<std::size_t>() + preview["valid_bytes"].get<std::size_t>() +
                preview["test_bytes"].get<std::size_t>(),
            text.size());
  EXPECT_EQ(read("window"), text.substr(0, 512));
  write("two", std::string("abababab"));
  EXPECT_DOUBLE_EQ(run({"info", "--data", path("two"), "--json"}).json()["order0_bits"], 1);
  EXPECT_EQ(refused({"info", path("run"), "--data", path("text")}),
            "longstride info: RUN and --data: info is about one of them, got both\n");
}

// What is decoded in passing lies in TMPDIR; text is not decoded.
TEST_F(GoingOnCommands, AFolderForDecodedDataThatIsNotThereIsSaid) {
  write_png({2, 2, 3, std::vector<std::uint8_t>(12)}, path("one.png"));
  environment_ = {"TMPDIR=" + path("none")};
  const std::vector<std::string> words = {"info", "--data", path("one.png"), "--set", "data.image_size=[2,2]"};
  EXPECT_EQ(
      refused(words, 1),
      "longstride info: cannot make a folder for decoded data in \"/none\": No such file or directory; TMPDIR names "
      "another, and --set data.cache=FOLDER one that stays\n");
  std::vector<std::string> with_cache = words;
  with_cache.insert(with_cache.end(), {"--set", "data.cache=" + path("cache")});
  EXPECT_EQ(run(with_cache).status, 0);
  EXPECT_EQ(run({"info", "--data", path("text")}).status, 0);
}

// A picture that cannot be read is left out, and said; the first one that can is the window.
TEST_F(GoingOnCommands, PicturesAreLookedAtWithWhatIsLeftOut) {
  std::filesystem::create_directories(path("pictures"));
  std::string array("\x93NUMPY\x01\x00", 8);
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (30, 4, 4, 3), }";
  header.resize(118, ' ');
  header.back() = '\n';
  array += std::string("\x76\x00", 2) + header;
  for (int at = 0; at < 30 * 48; ++at) array += static_cast<char>(at % 251);
  write("pictures/some.npy", array);
  write("pictures/torn.npy", "no picture");
  const json preview = run({"info", "--data", path("pictures"), "--json", "--window", path("window.png"), "--set",
                            "data.unreadable=skip", "--set", "data.image_size=[4,4]"})
                           .json();
  EXPECT_EQ(preview["kind"], "image");
  ASSERT_EQ(preview["notes"].size(), 1u) << preview;
  EXPECT_NE(preview["notes"][0].get<std::string>().find("torn.npy"), std::string::npos);
  EXPECT_EQ(read("window.png").substr(1, 3), "PNG");
  EXPECT_EQ(refused({"info", "--data", path("pictures"), "--set", "data.image_size=[4,4]", "--window", path("w.wav")}),
            "longstride info: --window: a picture is written; needs a name that ends in .png, got \"/w.wav\"\n");
}

// Notes are no results: they come first, and on standard error.
TEST_F(GoingOnCommands, WhatIsToBeSaidOfDataComesBeforeThem) {
  write("few", "abc");
  const Finished few = run({"info", "--data", path("few")});
  ASSERT_EQ(few.status, 0) << few.err;
  EXPECT_NE(few.err.find("longstride info: nothing is left for validation: 0.05 of 3 bytes is less than one; "),
            std::string::npos)
      << few.err;
  EXPECT_EQ(few.out.find("nothing is left"), std::string::npos) << few.out;
  const Finished quiet = run({"info", "--data", path("few"), "--json", "--quiet"});
  EXPECT_EQ(quiet.err, "");
  EXPECT_EQ(quiet.json()["notes"].size(), 2u) << quiet.out;  // the test part is empty too
  EXPECT_EQ(run({"info", "--data", path("text")}).err, "");
  EXPECT_EQ(run({"info", "--data", path("few"), "--set", "data.split=[1,0,0]"}).err, "");  // as it was asked for
}

TEST_F(GoingOnCommands, TheMachineIsWhatIsLeftToSay) {
  const Finished words = run({"info"});
  ASSERT_EQ(words.status, 0) << words.err;
  EXPECT_NE(words.out.find("\n  card          " + card_words() + "\n"), std::string::npos) << words.out;
  EXPECT_NE(words.out.find("\n  memory        "), std::string::npos) << words.out;
  const json told = run({"info", "--json"}).json();
  const MachineInfo machine = machine_info();
  EXPECT_EQ(told["memory_bytes"], machine.memory_bytes);
  EXPECT_EQ(told["instruction_set"], machine.instruction_set);
  EXPECT_EQ(told["card"], card_words());
  EXPECT_EQ(told["cards"].size(), cards().size());
  EXPECT_EQ(refused({"info", "--window", path("window")}),
            "longstride info: --window: is a window of --data; give that too\n");
  EXPECT_EQ(refused({"info", "--set", "data.image_size=[4,4]"}),
            "longstride info: --set: says how --data is read; give that too\n");
  EXPECT_EQ(refused({"info", "--checkpoint", "latest"}),
            "longstride info: --checkpoint: is one of a RUN; give that too\n");
}

}  // namespace
}  // namespace longstride
