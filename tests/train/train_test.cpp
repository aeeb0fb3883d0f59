// These tests train small models: loss, log, checkpoints, and going on to the same bits.
#include "longstride/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/file.h"
#include "io/picture.h"
#include "longstride/attention.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "longstride/evaluate.h"
#include "longstride/sample.h"
#include "model/checkpoint.h"
#include "train/limits.h"
#include "train/run_directory.h"
#include "train/training.h"

namespace longstride {
namespace {

TEST_F(Training, LowersTheLossAndLeavesACompleteRun) {
  const TrainResult result = run(config(60), "run");
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(result.step, 60);
  ASSERT_EQ(reports_.size(), 60u);
  EXPECT_EQ(reports_.front().loss_bits, 8.0);
  EXPECT_LT(reports_.back().loss_bits, 5.0);
  EXPECT_GT(result.test_bits, 0);
  EXPECT_LT(result.test_bits, 5.0);
  EXPECT_GT(result.test_order0_bits, result.test_bits * 0.5);
  for (const char* file : {"config.json", "log.jsonl", "checkpoints/000000060/model.safetensors",
                           "checkpoints/000000060/state.safetensors", "best/model.safetensors"})
    EXPECT_TRUE(fs::exists(root_ / "run" / file)) << file;
  EXPECT_NEAR(describe_checkpoint(find_checkpoint(path("run"), "best")).valid_bits, result.valid_bits, 0);
}

TEST_F(Training, WritesOneObjectAStepIntoTheLog) {
  run(config(5), "run");
  std::ifstream log(path("run/log.jsonl"));
  std::string line;
  std::int64_t steps = 0, validations = 0;
  while (std::getline(log, line)) {
    const auto json = nlohmann::json::parse(line);
    if (json.contains("loss_bits")) {
      EXPECT_EQ(json["step"], ++steps);
      for (const char* key : {"tokens", "epoch", "learning_rate", "gradient_norm", "step_s", "load_s", "exchange_s",
                              "tokens_per_s", "utilisation", "memory_bytes"})
        EXPECT_TRUE(json.contains(key)) << key;
    }
    if (json.contains("valid_bits")) {
      ++validations;
      EXPECT_TRUE(json.contains("min_context") && json.contains("tokens_scored"));
    }
  }
  EXPECT_EQ(steps, 5);
  EXPECT_EQ(validations, 1);
}

TEST_F(Training, LogsNoStandardErrorOfOneWindow) {
  const std::string text = read_text(path("data.txt"));
  for (const auto& [bytes, is_known] : {std::pair(7'000u, false), {14'000u, true}}) {  // of which validation is 1/100
    std::ofstream(path("data.txt")) << text.substr(0, bytes);
    Config c = config(1);
    c.data.split = {0.98, 0.01, 0.01};
    const std::string name = "run" + std::to_string(bytes);
    run(c, name);
    std::istringstream log(read_text(path(name + "/log.jsonl")));
    std::string line;
    int validations = 0;
    while (std::getline(log, line)) {
      const auto json = nlohmann::json::parse(line);
      if (!json.contains("valid_bits")) continue;
      ++validations;
      EXPECT_EQ(json["standard_error"].is_number(), is_known) << line;
      EXPECT_EQ(json["standard_error"].is_null(), !is_known) << line;
    }
    EXPECT_EQ(validations, 1);
  }
}

TEST_F(Training, GoesOnToTheSameBitsAfterAnyInterruption) {
  for (const char* ema : {"0", "0.9"}) {
    Config c = config(12);
    c.training.ema = std::stod(ema);
    const std::string whole = std::string("whole") + ema, parts = std::string("parts") + ema;
    run(c, whole);
    EXPECT_TRUE(run(c, parts, 3).interrupted);
    EXPECT_TRUE(run(c, parts, 7, true).interrupted);
    EXPECT_FALSE(run(c, parts, -1, true).interrupted);
    EXPECT_EQ(model_bytes(parts), model_bytes(whole)) << "ema " << ema;
  }
}

TEST_F(Training, EndsWhereItsFolderIsTakenAwayAndGoesOnWhereItLies) {
  run(config(12), "whole");
  const auto moving = [&](std::int64_t step) {
    TrainObserver observer;
    observer.stepped = [&, step](const StepReport& r) {
      if (r.step == step) fs::rename(path("run"), path("moved"));
    };
    TrainOptions options;
    options.out = path("run");
    options.resume = true;
    train(config(12), options, observer);
  };
  run(config(12), "run", 4);
  EXPECT_THROW(moving(7), Error);
  EXPECT_FALSE(fs::exists(path("run")));
  run(config(12), "moved", -1, true);
  EXPECT_EQ(model_bytes("moved"), model_bytes("whole"));
}

TEST_F(Training, GivesTheSameBytesForAnyNumberOfThreadsAndWithRecomputation) {
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    std::vector<std::string> bytes;
    for (const int threads : {1, 2, 3}) {
      Config c = config(4);
      c.training.precision = precision;
      c.training.threads = threads;
      const std::string name = "threads" + std::to_string(threads) + (precision == Precision::float32 ? "f" : "b");
      run(c, name);
      bytes.push_back(model_bytes(name));
    }
    EXPECT_EQ(bytes[0], bytes[1]);
    EXPECT_EQ(bytes[0], bytes[2]);
  }
}

TEST_F(Training, WritesTheInitialWeightsWhereNoStepIsAskedFor) {
  run(config(0), "run");
  EvaluateOptions options;
  options.run = path("run");
  options.paths = {path("data.txt")};
  options.bytes = 500;
  const Evaluation evaluation = evaluate(options);
  EXPECT_EQ(evaluation.bits_per_byte, 8.0);
  EXPECT_EQ(evaluation.tokens_scored, 500);
}

TEST_F(Training, EndsWithAnExplanationAndItsLastCheckpointWhereGradientsStopBeingFinite) {
  Config c = config(8);
  run(c, "run", 4);
  const std::string good = model_bytes("run");
  // The same run, its decay made absurd: weights grow by 10^4 a step until they overflow, then every step is skipped.
  std::string text = read_text(path("run/config.json"));
  const auto put = [&](const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  };
  put("\"learning_rate\": 0.003", "\"learning_rate\": 100");
  put("\"weight_decay\": 0.01", "\"weight_decay\": 100");
  put("\"steps\": 8,", "\"steps\": 90,");
  write_file_atomically(path("run/config.json"), text);
  reports_.clear();
  try {
    run(c, "run", -1, true);
    FAIL() << "nothing was said";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::diverged);
    EXPECT_NE(std::string(error.what()).find("not finite 10 steps in a row"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("000000004"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(reports_.back().skipped);
  EXPECT_NE(reports_.back().not_finite, "");
  EXPECT_NE(notes_.find("loss or gradient is not finite, first " + reports_.back().not_finite), std::string::npos);
  EXPECT_NE(read_text(path("run/log.jsonl")).find("\"not_finite\":\"" + reports_.back().not_finite), std::string::npos);
  EXPECT_EQ(model_bytes("run"), good);
}

// A run whose weights grow by 10^4 a step until losses overflow, while the weights themselves are finite.
class Diverging : public Training {
 protected:
  Config diverging(std::int64_t steps) const {
    Config c = config(steps);
    c.training.learning_rate = c.training.weight_decay = 100;
    c.training.warmup_steps = 0;
    c.training.final_rate = 1;  // so that fewer steps are the same ones
    return c;
  }
  // What ends a run; empty where nothing does.
  std::string ending(const Config& c, const std::string& name, bool resume = false) {
    try {
      run(c, name, -1, resume);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::diverged) << error.what();
      return error.what();
    }
    return "";
  }
  std::int64_t first_skipped() {
    ending(diverging(90), "found");
    return std::find_if(reports_.begin(), reports_.end(), [](const StepReport& r) { return r.skipped; })->step;
  }
};

TEST_F(Diverging, WritesNoCheckpointWhileStepsAreSkipped) {
  const std::string words = ending(diverging(90), "run");
  EXPECT_NE(words.find("there is no checkpoint whose weights are known to be good"), std::string::npos) << words;
  EXPECT_FALSE(fs::exists(path("run/checkpoints")) && !fs::is_empty(path("run/checkpoints")));
  EXPECT_NE(ending(diverging(90), "run", true).find("not finite 10 steps in a row"), std::string::npos);
}

TEST_F(Diverging, SetsACheckpointAsideWhoseWeightsGaveNoFiniteLoss) {
  const std::int64_t skipped = first_skipped();
  ASSERT_GE(skipped, 3);
  const Config c = diverging(90);
  run(c, "run", skipped - 2);
  run(c, "run", skipped - 1, true);  // the update that makes losses overflow: nothing is known of it yet
  const std::string good = RunDirectory::checkpoint_of(path("run"), skipped - 2),
                    bad = RunDirectory::checkpoint_of(path("run"), skipped - 1);
  EXPECT_TRUE(fs::exists(bad));
  for (int time = 0; time < 2; ++time) {
    const std::string words = ending(c, "run", true);
    EXPECT_NE(words.find("known to be good is \"" + good + "\""), std::string::npos) << words;
    EXPECT_TRUE(fs::exists(good));
    EXPECT_FALSE(fs::exists(bad));
  }
  EXPECT_NE(notes_.find("is set aside as \"" + bad + ".damaged\""), std::string::npos) << notes_;
}

TEST_F(Diverging, DoesNotEndWellInStepsThatWereSkipped) {
  const std::int64_t skipped = first_skipped();
  const std::string words = ending(diverging(skipped + 2), "run");
  EXPECT_NE(words.find("weights that give no finite loss (the last 3 steps were skipped)"), std::string::npos) << words;
}

TEST_F(Diverging, DoesNotEndWellInTheUpdateThatOverflows) {
  const std::int64_t skipped = first_skipped();
  const std::string words = ending(diverging(skipped - 1), "run");
  EXPECT_NE(words.find("weights that give no finite loss, first "), std::string::npos) << words;
  EXPECT_FALSE(fs::exists(RunDirectory::checkpoint_of(path("run"), skipped - 1)));
}

TEST_F(Diverging, GoesOnWhereAValidationIsNotFinite) {
  const std::int64_t skipped = first_skipped();
  Config c = diverging(90);
  c.training.validate_minutes = 1e-9;  // after each step
  ending(c, "run");
  EXPECT_GT(reports_.back().step, skipped);
  EXPECT_NE(notes_.find("the valid part has no figure at step " + std::to_string(skipped - 1)), std::string::npos)
      << notes_;
}

TEST_F(Diverging, WeightsAreRefusedToBeginWith) {
  const std::int64_t skipped = first_skipped();
  run(diverging(90), "bad", skipped - 1);
  Config c = config(3);
  c.training.init = path("bad");
  try {
    run(c, "run");
    FAIL() << "nothing was said";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::corrupt_data);
    EXPECT_NE(std::string(error.what()).find("give no finite loss"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(path("run")));
}

TEST_F(Diverging, WeightsGiveNoSamplesAndNoProbabilities) {
  const std::int64_t skipped = first_skipped();
  run(diverging(90), "bad", skipped - 1);
  const auto kind_of = [](const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::invalid_argument;
  };
  SampleOptions options;
  options.run = path("bad");
  options.device = Device::cpu;
  options.tokens = 5;
  for (const double temperature : {0.0, 1.0}) {
    options.temperature = temperature;
    EXPECT_EQ(kind_of([&] { sample(options); }), ErrorKind::diverged);
  }
  AttentionOptions look;
  look.run = path("bad");
  look.tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  const AttentionView view(look);
  EXPECT_EQ(kind_of([&] { view.rows({0, 1}, {0, 1}, {7}, [](const AttentionRow&) {}); }), ErrorKind::diverged);
}

// Weights that are finite and whose losses are not: the run ends well, without figures.
TEST_F(Training, RefusesWhatCannotBeTrainedOnWithoutLeavingAnything) {
  Config c = config(5);
  c.model.context = 100000;
  c.model.positions = {400, 250};
  EXPECT_THROW(run(c, "run"), Error);
  EXPECT_FALSE(fs::exists(path("run")));
  run(config(1), "run");
  EXPECT_THROW(run(config(1), "run"), Error);             // holds a run
  EXPECT_THROW(run(config(1), "none", -1, true), Error);  // nothing to go on with
  EXPECT_THROW(run(config(1), "data.txt"), Error);        // a file
  fs::create_directories(root_ / "other");
  std::ofstream(root_ / "other" / "letter.txt") << "dear";
  EXPECT_THROW(run(config(1), "other"), Error);
  EXPECT_TRUE(fs::exists(root_ / "other" / "letter.txt"));
}

TEST_F(Training, AccumulatesGradientsToThoseOfTheLargerBatch) {
  Config large = config(1);
  large.model.dropout = 0;
  large.training.batch = 4;
  Config parts = large;
  parts.training.batch = 2;
  parts.training.accumulate = 2;
  run(large, "large");
  run(parts, "parts");
  EXPECT_EQ(reports_[0].loss_bits, reports_[1].loss_bits);
  EXPECT_NEAR(reports_[0].gradient_norm, reports_[1].gradient_norm, 1e-6 * reports_[0].gradient_norm);
}

// Four pictures of 5 x 4 in a grid, their file named in the log; no bytes of them on the way to the screen.
TEST_F(Training, MakesPicturesOfAModelOfPictures) {
  std::ofstream(root_ / "pictures.bin", std::ios::binary) << std::string(60 * 60, 'p');
  const Config c = read_config(
      {R"x({"model": {"context": 60, "positions": [5, 4, 3], "layers": 1, "width": 16, "heads": 2, "attention": "dense"},
            "data": {"kind": "image", "image_size": [5, 4]}, "training": {"steps": 2, "precision": "float32"}})x"},
      {"test"}, {"data.paths=[\"" + path("pictures.bin") + "\"]"});
  std::vector<SampleReport> samples;
  TrainObserver observer;
  observer.sampled = [&](const SampleReport& report) { samples.push_back(report); };
  TrainOptions options;
  options.out = path("run");
  train(c, options, observer);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].step, 2);
  EXPECT_EQ(samples[0].share, 1);
  EXPECT_EQ(samples[0].text, "");
  EXPECT_EQ(samples[0].path, path("run/samples/000000002.png"));
  const Image grid = decode_png(InputFile(samples[0].path).all(), "sample");
  EXPECT_EQ(grid.height, 2 * 5 + 2);
  EXPECT_EQ(grid.width, 2 * 4 + 2);
  EXPECT_NE(read_text(path("run/log.jsonl")).find("{\"step\":2,\"sample\":\"samples/000000002.png\"}\n"),
            std::string::npos);
}

TEST_F(Training, SamplesAsManyPicturesAndAsMuchSoundAsALimitAllows) {
  Config c = config(1);
  EXPECT_EQ(engine_shape(c, DType::float32).length, 70);
  c.data.kind = "image";
  EXPECT_EQ(engine_shape(c, DType::float32).sequences, kSamplePictures);
  EXPECT_EQ(engine_shape(c, DType::float32).length, c.model.context);
  c = read_config({preset_json("imagenet64")}, {"preset"}, {});
  const EngineShape shape = engine_shape(c, DType::float32);
  EXPECT_EQ(shape.length, 12288);
  EXPECT_EQ(shape.sequences, 1);  // one has more than half of the limit
  c = read_config({preset_json("music-1m")}, {"preset"}, {});
  EXPECT_EQ(engine_shape(c, DType::float32).length, 48000);
}

}  // namespace
}  // namespace longstride
