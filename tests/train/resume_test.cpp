// These tests resume runs that were copied, killed or damaged, and whose data were moved or changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/safetensors.h"
#include "io/scratch.h"
#include "train/training.h"

namespace longstride {
namespace {

class Resume : public Training {
 protected:
  // Six steps, each with a checkpoint; with a validation at each where `best` shall mean something.
  Config every_step(bool validated = false) const {
    Config c = config(6);
    c.training.checkpoint_minutes = 1e-9;
    c.training.keep = 100;
    if (validated) c.training.validate_minutes = 1e-9;
    return c;
  }

  std::string refused(const Config& c, const std::string& name) {
    return error_words(ErrorKind::invalid_argument, [&] { run(c, name, -1, true); });
  }

  std::string checkpoint(int step) const { return path("run/checkpoints/00000000" + std::to_string(step)); }

  // Steps of the lines with a loss.
  std::vector<std::int64_t> logged(const std::string& name) const {
    std::vector<std::int64_t> steps;
    std::ifstream log(path(name + "/log.jsonl"));
    for (std::string line; std::getline(log, line);) {
      const auto json = nlohmann::json::parse(line);
      if (json.contains("loss_bits")) steps.push_back(json["step"]);
    }
    return steps;
  }

  std::string best(const std::string& name) const {
    return fs::path(find_checkpoint(path(name), "best")).parent_path().filename().string();
  }

  // Every file of a folder with its bytes, to see that nothing was touched.
  std::string contents(const std::string& name) const {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / name))
      if (entry.is_regular_file()) files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
    std::string all;
    for (const std::string& file : files) all += file + "\n" + read_text(file);
    return all;
  }

  const std::vector<std::int64_t> kAll = {1, 2, 3, 4, 5, 6};
};

TEST_F(Resume, RefusesDataThatChangedAndTouchesNothing) {
  run(config(12), "run", 3);
  const std::string text = read_text(path("data.txt")), before = contents("run");
  const auto say = [&](const std::string& bytes) {
    put(path("data.txt"), bytes);
    return refused(config(12), "run");
  };
  const std::string begin = "train: the data of run \"" + path("run") + "\" changed since step 3: ";
  const std::string end = "; put them back as they were, name with --data where they lie now, or start another run";
  EXPECT_EQ(text.size(), 26'489u);
  EXPECT_EQ(say(text + text), begin + "26,489 bytes then, 52,978 now" + end);
  EXPECT_EQ(say(text.substr(0, 20'000)), begin + "26,489 bytes then, 20,000 now" + end);
  for (const std::size_t at : {std::size_t{0}, text.size() / 2, text.size() - 1}) {
    std::string other = text;
    other[at] = static_cast<char>(other[at] ^ 1);
    EXPECT_EQ(say(other), begin + "26,489 bytes as then, but not the same ones" + end) << at;
  }
  put(path("data.txt"), text);
  EXPECT_EQ(contents("run"), before);
  run(config(12), "whole");
  run(config(12), "run", -1, true);
  EXPECT_EQ(model_bytes("run"), model_bytes("whole"));
}

TEST_F(Resume, RefusesOtherPartsOfTheSameData) {
  run(config(12), "run", 3);
  std::string text = read_text(path("run/config.json"));
  const std::string key = "\"split\": [";
  const auto at = text.find(key);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, text.find(']', at) - at + 1, key + "0.5, 0.25, 0.25]");
  put(path("run/config.json"), text);
  EXPECT_NE(refused(config(12), "run").find("training bytes then, 13,245 now"), std::string::npos);
}

TEST_F(Resume, TakesTheSameDataFromWhereTheyLieNow) {
  run(config(12), "whole");
  run(config(12), "run", 3);
  fs::create_directory(root_ / "archive");
  fs::rename(path("data.txt"), path("archive/text"));
  EXPECT_NE(refused(config(12), "run").find("data.txt"), std::string::npos);
  Config moved = config(12);
  moved.data.paths = {path("archive/text")};
  run(moved, "run", 5, true);
  Config nothing;
  run(nothing, "run", -1, true);  // config.json names the new place
  const std::string latest = "/checkpoints/000000012/state.safetensors";
  const SafetensorsFile one(path("run") + latest), other(path("whole") + latest);
  ASSERT_FALSE(one.tensors().empty());
  for (const TensorEntry& tensor : one.tensors())
    EXPECT_EQ(one.read(tensor), other.read(other.tensor(tensor.name))) << tensor.name;
}

TEST_F(Resume, AcceptsACheckpointThatDoesNotNameItsDataAndSaysSo) {
  run(config(12), "run", 3);
  const std::string state = path("run/checkpoints/000000003/state.safetensors"), aside = path("state");
  {
    const SafetensorsFile file(state);
    std::map<std::string, std::string> metadata = file.metadata();
    EXPECT_EQ(std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with("data_"); }), 4u);
    metadata.erase("sha256");
    std::vector<StoredTensor> tensors;
    std::vector<std::vector<std::uint8_t>> values;
    for (const TensorEntry& tensor : file.tensors()) values.push_back(file.read(tensor));
    for (const TensorEntry& tensor : file.tensors())
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, values[tensors.size()]});
    write_safetensors(aside, metadata, tensors);
  }
  fs::rename(aside, state);
  run(config(12), "run", -1, true);
  EXPECT_EQ(notes_,
            "checkpoint 000000003 does not say what it was trained on: whether the data are still the same is not "
            "known\n");
}

TEST_F(Resume, GoesOnFromTheNewestCheckpointThatIsWhole) {
  run(every_step(), "whole");
  const std::vector<std::function<void(const std::string&)>> damages = {
      [](const std::string& c) { fs::resize_file(c + "/state.safetensors", 1000); },
      [](const std::string& c) { fs::resize_file(c + "/model.safetensors", 0); },
      [](const std::string& c) {
        std::string bytes = get(c + "/model.safetensors");
        bytes[bytes.size() - 50] ^= 1;
        put(c + "/model.safetensors", bytes);
      },
      [](const std::string& c) { fs::remove(c + "/state.safetensors"); },
      [](const std::string& c) { fs::remove(c + "/model.safetensors"); },
  };
  for (std::size_t damage = 0; damage < damages.size(); ++damage) {
    for (const int also : {0, 1}) {  // two of them damaged, too
      fs::remove_all(root_ / "run");
      fs::copy(root_ / "whole", root_ / "run", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      for (int step = 6; step >= 6 - also; --step) damages[damage](checkpoint(step));
      notes_.clear();
      EXPECT_EQ(run(every_step(), "run", -1, true).step, 6);
      for (int step = 6; step >= 6 - also; --step) {
        EXPECT_NE(notes_.find("set aside as \"" + checkpoint(step) + ".damaged\" and the run goes on from \"00000000" +
                              std::to_string(5 - also) + "\""),
                  std::string::npos)
            << notes_;
        EXPECT_TRUE(fs::is_directory(checkpoint(step) + ".damaged"));
      }
      EXPECT_EQ(model_bytes("run"), model_bytes("whole")) << damage;
      EXPECT_EQ(logged("run"), kAll) << damage;
    }
  }
}

TEST_F(Resume, NamesTheDamagedCheckpointWhereNoneIsWhole) {
  Config c = every_step();
  c.training.keep = 1;
  run(c, "run", 4);
  fs::remove_all(root_ / "run/best");
  fs::resize_file(checkpoint(4) + "/state.safetensors", 1000);
  const std::string before = contents("run");
  const std::string words = error_words(ErrorKind::corrupt_data, [&] { run(c, "run", -1, true); });
  EXPECT_NE(words.find("has no checkpoint to go on from: checkpoint \"" + checkpoint(4)), std::string::npos) << words;
  EXPECT_EQ(contents("run"), before);
}

TEST_F(Resume, MakesTheLinkToTheBestCheckpointAnew) {
  run(every_step(true), "run");
  const std::string right = fs::read_symlink(root_ / "run/best").string(), link = path("run/best");
  const std::vector<std::function<void()>> faults = {
      [] {},
      [&] { fs::create_symlink("checkpoints/000000099", link); },
      [&] {
        fs::create_symlink(right == "checkpoints/000000002" ? "checkpoints/000000003" : "checkpoints/000000002", link);
      },
      [&] { fs::copy(root_ / "run" / right, link, fs::copy_options::recursive); },
      [&] { put(link, right); },  // as systems without links unpack one
  };
  for (const auto& fault : faults) {
    fs::remove_all(link);
    fault();
    EXPECT_EQ("checkpoints/" + best("run"), right);
    run(every_step(true), "run", -1, true);
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_EQ(fs::read_symlink(link), right);
    EXPECT_EQ(notes_.find("the run is finished, after its 6 steps; "), 0u) << notes_;
    EXPECT_EQ(std::count(notes_.begin(), notes_.end(), '\n'), 1) << notes_;
    notes_.clear();
  }
  for (const auto& entry : fs::directory_iterator(root_ / "run"))
    EXPECT_EQ(entry.path().string().find("partial"), std::string::npos) << entry.path();
}

TEST_F(Resume, LeavesAFolderOfOtherFilesInPlaceOfTheLinkAndSaysItOnce) {
  run(every_step(true), "run", 3);
  fs::remove(root_ / "run/best");
  fs::create_directory(root_ / "run/best");
  put(path("run/best/letter"), "dear");
  run(every_step(true), "run", -1, true);
  EXPECT_EQ(read_text(path("run/best/letter")), "dear");
  EXPECT_EQ(notes_, "the best checkpoint gets no link (\"" + path("run/best") +
                        "\" is none of the run's and stays); the program's commands find it without one\n");
}

TEST_F(Resume, ChangesNothingOfARunThatIsFinished) {
  Config c = every_step(true);
  c.training.sample_minutes = 1e-9;
  const double bits = run(c, "run").valid_bits;
  const std::string before = contents("run");
  const TrainResult again = run(c, "run", -1, true);
  EXPECT_EQ(contents("run"), before);
  EXPECT_EQ(again.step, 6);
  EXPECT_EQ(again.valid_bits, bits);
  EXPECT_GT(again.test_bits, 0);
  EXPECT_FALSE(again.interrupted);
}

TEST_F(Resume, FindsAnotherBestWhereTheBestIsGone) {
  Config c = every_step(true);
  c.training.learning_rate = 1;  // the weights get worse with every step
  run(c, "run");
  const std::string gone = best("run");
  ASSERT_NE(gone, "000000006");
  fs::remove_all(root_ / "run/checkpoints" / gone);
  run(c, "run", -1, true);
  EXPECT_EQ(best("run"), "000000006");
  EXPECT_EQ(fs::read_symlink(root_ / "run/best"), "checkpoints/000000006");
}

// While the old best is removed the link names the new one already, and it is there at any moment.
TEST_F(Training, LinksTheBestBeforeTheOneThatItReplacesIsRemoved) {
  Config c = config(8);
  c.training.validate_minutes = c.training.checkpoint_minutes = 1e-9;
  c.training.keep = 1;
  int seen = 0;
  TrainObserver observer;
  observer.saved = [&](std::int64_t, const std::string&) {
    if (!fs::is_symlink(root_ / "run/best")) return;
    EXPECT_TRUE(fs::exists(root_ / "run/best/model.safetensors")) << fs::read_symlink(root_ / "run/best");
    ++seen;
  };
  TrainOptions options;
  options.out = path("run");
  train(c, options, observer);
  EXPECT_GT(seen, 3);
}

TEST_F(Training, GoesOnWhereASampleCannotBeWritten) {
  Config c = config(3);
  c.training.sample_minutes = 1;
  run(c, "run", 1);
  fs::remove_all(root_ / "run/samples");
  fs::create_directories(root_ / "run/samples/000000003.txt");
  run(c, "run", -1, true);
  EXPECT_NE(notes_.find("the sample is not kept: cannot write"), std::string::npos) << notes_;
}

// `cd texts; longstride train --data . --out run`, and a second run beside the first.
TEST_F(Training, TakesNoFilesOfRunsForData) {
  fs::create_directory(root_ / "texts");
  fs::rename(path("data.txt"), path("texts/data.txt"));
  Config c = config(6);
  c.data.paths = {path("texts")};
  c.data.kind = "";
  run(c, "texts/run", 2);
  run(c, "texts/another", 2);
  EXPECT_EQ(notes_, "the run \"" + path("texts/run") + "\" among the data is left out\n");
  put(path("texts/run/samples/000000001.png"), "no text");
  run(c, "texts/run", -1, true);
  run(c, "texts/another", -1, true);
  Config own = config(6);
  own.data.paths = {path("texts/run/checkpoints")};
  TrainOptions options;
  options.out = path("texts/run");
  options.overwrite = true;
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { train(own, options, {}); }),
            "--data: \"" + path("texts/run/checkpoints") + "\" is written by the run \"" + path("texts/run") +
                "\" itself; name other data or another --out");
  EXPECT_TRUE(fs::exists(path("texts/run/checkpoints/000000006")));
  fs::create_hard_link(root_ / "texts/run/config.json", root_ / "hard");
  own.data.paths = {path("hard")};
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { train(own, options, {}); }),
            "--data: \"" + path("hard") + "\" is written by the run \"" + path("texts/run") +
                "\" itself; name other data or another --out");
}

// What the run writes meanwhile is not learned through links either, and the run goes on.
TEST_F(Training, TakesNoFilesOfItsOwnForDataThroughLinks) {
  fs::create_directory(root_ / "texts");
  fs::rename(path("data.txt"), path("texts/data.txt"));
  fs::create_symlink("../run/checkpoints", root_ / "texts/checkpoints");
  fs::create_symlink("../run/log.jsonl", root_ / "texts/log");
  Config c = config(6);
  c.data.paths = {path("texts")};
  c.data.kind = "";
  run(c, "run", 2);
  EXPECT_EQ(notes_,
            "\"" + path("texts/checkpoints") + "\" is written by the run itself and is left out, and so are 1 more\n");
  EXPECT_EQ(run(c, "run", -1, true).step, 6);
  TrainOptions again;
  again.out = path("run");
  again.overwrite = true;
  c.training.steps = 2;
  train(c, again, {});
  c.training.steps = 4;
  again.overwrite = false;
  again.resume = true;
  again.steps = 4;
  EXPECT_EQ(train(c, again, {}).step, 4);
}

}  // namespace
}  // namespace longstride
