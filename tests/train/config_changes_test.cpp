// These tests edit, damage and remove config.json of runs that have checkpoints.
#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "io/scratch.h"
#include "train/config_changes.h"
#include "train/training.h"

namespace longstride {
namespace {

class ConfigChanges : public Training {
 protected:
  std::string config_path() const { return path("run/config.json"); }
  const std::string since_ = "config.json was edited since checkpoint 000000003: ";

  // Six steps, of which three are done.
  void start() {
    run(config(6), "run", 3);
    text_ = read_text(config_path());
  }

  // As somebody edits it: `"key": old` becomes `"key": value`.
  void edit(const std::string& key, const std::string& value) {
    std::string text = text_;
    const std::size_t at = text.find("\"" + key + "\": ");
    ASSERT_NE(at, std::string::npos) << key;
    const std::size_t begin = at + key.size() + 4;
    const bool quoted = text[begin] == '"';
    const std::size_t end = text.find_first_of(quoted ? "\"" : ",\n}", begin + 1) + (quoted ? 1 : 0);
    put(config_path(), text.replace(begin, end - begin, value));
  }

  std::string refused(ErrorKind kind = ErrorKind::invalid_argument) {
    return error_words(kind, [&] { run(Config(), "run", -1, true); });
  }

  std::string text_;
};

TEST_F(ConfigChanges, OfTheModelAreRefusedByName) {
  start();
  const std::vector<std::array<std::string, 3>> edits = {
      {"context", "60", "model.context 70 -> 60"},
      {"heads", "4", "model.heads 2 -> 4"},
      {"attention", "\"fixed(8,2)\"", "model.attention \"fixed(9,2)\" -> \"fixed(8,2)\""},
      {"layers", "3", "model.layers 2 -> 3"},
      {"ema", "0.5", "training.ema 0 -> 0.5"}};
  for (const auto& [key, value, words] : edits) {
    edit(key, value);
    EXPECT_EQ(refused(), "train: config.json of run \"" + path("run") +
                             "\" is of another model than checkpoint 000000003: " + words +
                             "; put it back as it was, or start another run");
    EXPECT_FALSE(fs::exists(path("run/checkpoints/000000003.damaged")));
  }
  put(config_path(), text_);
  EXPECT_EQ(run(Config(), "run", -1, true).step, 6);
  EXPECT_EQ(notes_, "");
}

TEST_F(ConfigChanges, ThatTheWeightsDependOnAreSaidOnce) {
  const std::vector<std::array<std::string, 3>> edits = {
      {"batch", "4", "training.batch 2 -> 4"},
      {"seed", "7", "training.seed 1 -> 7"},
      {"precision", "\"bfloat16\"", "training.precision \"float32\" -> \"bfloat16\""},
      {"steps", "8", "training.steps 6 -> 8"},
      {"dropout", "0", "model.dropout 0.1 -> 0"}};
  for (const auto& [key, value, words] : edits) {
    fs::remove_all(path("run"));
    start();
    edit(key, value);
    notes_.clear();
    run(Config(), "run", 5, true);
    EXPECT_EQ(notes_,
              since_ + words +
                  "; from here on this is another run, and ends in other weights than either would have alone\n");
    notes_.clear();
    run(Config(), "run", -1, true);  // the checkpoint of step 5 knows
    EXPECT_EQ(notes_, "") << key;
  }
}

TEST_F(ConfigChanges, ThatTheWeightsDoNotDependOnEndInTheSameOnes) {
  run(config(6), "whole");
  start();
  edit("keep", "2");
  run(Config(), "run", -1, true);
  EXPECT_EQ(notes_, since_ + "training.keep 3 -> 2; the weights do not depend on it\n");
  const SafetensorsFile one(find_checkpoint(path("run"), "latest")), other(find_checkpoint(path("whole"), "latest"));
  ASSERT_FALSE(one.tensors().empty());
  for (const TensorEntry& tensor : one.tensors())
    EXPECT_EQ(one.read(tensor), other.read(other.tensor(tensor.name))) << tensor.name;
}

// Of weights that hardly move, so that a step's loss is the mean of those of its windows.
TEST_F(ConfigChanges, AnotherBatchGoesOnWithTheWindowsThatFollow) {
  Config c = config(11);
  c.model.dropout = 0;
  c.model.initialisation = Initialisation::gpt2;  // or every byte would cost the same
  c.training.learning_rate = 1e-12;
  c.training.batch = 1;
  run(c, "single");
  const std::vector<StepReport> single = std::exchange(reports_, {});
  c.training.batch = 2;
  run(c, "another", 3);
  Config edited = read_config({read_text(path("another/config.json"))}, {"config.json"}, {});
  edited.training.batch = 5;
  put(path("another/config.json"), write_config(edited));
  reports_.clear();
  run(Config(), "another", 4, true);
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].tokens, (3 * 2 + 5) * c.model.context);
  EXPECT_DOUBLE_EQ(reports_[0].epoch, single[10].epoch);
  double bits = 0;
  for (std::size_t window = 6; window < 11; ++window) bits += single[window].loss_bits / 5;
  EXPECT_NEAR(reports_[0].loss_bits, bits, 1e-5);
  EXPECT_GT(std::abs(single[5].loss_bits - single[10].loss_bits), 1e-4);  // another window would be seen
}

// What is left to the program stays so in config.json, and the sessions that go on take what was chosen first: here
// what this machine would not choose, for one of the two precisions.
TEST_F(ConfigChanges, AChoiceOfTheProgramIsKeptAndKnownAsOne) {
  for (const auto& [precision, word] :
       {std::pair(Precision::float32, "\"float32\""), {Precision::bfloat16, "\"bfloat16\""}}) {
    fs::remove_all(path("run"));
    Config c = config(6);
    c.training.precision = precision;
    run(c, "whole" + std::string(word).substr(1, 5));
    run(c, "run", 3);
    text_ = read_text(config_path());
    edit("precision", "\"auto\"");
    notes_.clear();
    std::string reason;
    TrainObserver observer;
    observer.started = [&](const Config& used, const Plan& plan, const std::string&) {
      EXPECT_EQ(used.training.precision, precision);
      reason = plan.precision_reason;
    };
    observer.noted = [&](const std::string& sentence) { notes_ += sentence; };
    train(Config(), {.out = path("run"), .resume = true}, observer);
    EXPECT_EQ(notes_, "");
    EXPECT_EQ(reason, "as chosen when the run began");
    EXPECT_EQ(model_bytes("run"), model_bytes("whole" + std::string(word).substr(1, 5)));
    EXPECT_NE(read_text(config_path()).find("\"precision\": \"auto\""), std::string::npos);
    train(Config(), {.out = path("run"), .resume = true, .steps = 7}, observer);  // which writes it anew
    EXPECT_NE(read_text(config_path()).find("\"precision\": \"auto\""), std::string::npos);
    EXPECT_EQ(checkpoint_config(path("run"), "latest").training.precision, precision);
  }
}

TEST_F(ConfigChanges, ConfigJsonKeepsWhatWasAskedForAndCheckpointsWhatWasChosen) {
  Config c = config(2);
  c.training.precision = Precision::automatic;
  run(c, "run");
  const Config asked = read_config({read_text(config_path())}, {"config.json"}, {});
  EXPECT_EQ(asked.training.precision, Precision::automatic);
  EXPECT_EQ(asked.training.recompute, Recompute::automatic);
  const Config chosen = checkpoint_config(path("run"), "latest");
  EXPECT_NE(chosen.training.precision, Precision::automatic);
  EXPECT_NE(chosen.training.recompute, Recompute::automatic);
}

TEST_F(ConfigChanges, AMissingConfigIsTakenFromTheNewestCheckpoint) {
  run(config(6), "whole");
  start();
  fs::remove(config_path());
  run(Config(), "run", -1, true);
  EXPECT_EQ(notes_, "config.json is missing: the run goes on with the configuration of checkpoint 000000003\n");
  const std::size_t asked = text_.find("\"recompute\": \"auto\"");  // which no checkpoint knows: it has the choice
  EXPECT_EQ(read_text(config_path()), text_.replace(asked, 19, "\"recompute\": \"none\""));
  EXPECT_EQ(model_bytes("run"), model_bytes("whole"));
  fs::remove(config_path());
  fs::remove_all(path("run/checkpoints"));
  EXPECT_NE(refused().find("holds no run (no config.json)"), std::string::npos);
}

TEST_F(ConfigChanges, ADamagedConfigIsNamedWithWhatHelps) {
  start();
  for (const std::string& text : {std::string(), text_.substr(0, text_.size() / 2), "\1" + text_}) {
    put(config_path(), text);
    const std::string words = refused();
    EXPECT_NE(words.find(config_path()), std::string::npos) << words;
    EXPECT_NE(words.find("; put it right, or delete the file: --resume then takes the configuration of the newest "
                         "checkpoint"),
              std::string::npos)
        << words;
  }
}

// One after the other: an error, words about it, or the same configuration.
TEST_F(ConfigChanges, NoFlippedBitPassesUnseen) {
  start();
  const Config right = read_config({text_}, {"right"}, {});
  int refusals = 0, notes = 0;
  for (std::size_t bit = 0; bit < 8 * text_.size(); bit += 13) {  // each of a byte's comes in turn
    std::string text = text_;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ 1 << bit % 8);
    put(config_path(), text);
    std::string said;
    const auto note = [&](const std::string& sentence) { said += sentence; };
    try {
      const RunDirectory run = RunDirectory::open(path("run"));
      const Config config = config_to_resume(run, note);
      note_config_changes(run, config, note);
      notes += !said.empty();
      Config same = config;  // but for these, which a run may change
      same.data.paths = right.data.paths;
      same.data.cache = right.data.cache;
      same.training.threads = right.training.threads;
      same.training.device = right.training.device;
      EXPECT_TRUE(!said.empty() || write_config(same) == write_config(right)) << bit;
    } catch (const Error&) {
      ++refusals;
    }
  }
  EXPECT_GT(refusals, 0);
  EXPECT_GT(notes, 0);
}

}  // namespace
}  // namespace longstride
