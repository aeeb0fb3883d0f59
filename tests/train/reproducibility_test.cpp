// The same binary, instruction set and configuration give the same bits: a few steps of training, an evaluation and a
// sample of a text, a picture and a sound, on 1 to 4 threads and three times over. And what is written down to get them
// again: who trained it, and on what.
#include <gtest/gtest.h>

#include <cmath>

#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/evaluate.h"
#include "longstride/origin.h"
#include "longstride/sample.h"
#include "longstride/sound.h"
#include "model/checkpoint.h"
#include "train/training.h"

namespace longstride {
namespace {

class Reproducibility : public Training {
 protected:
  struct Made {
    std::string model;  // the bytes of its file
    double bits = 0;
    std::vector<std::vector<std::uint8_t>> sample;
  };

  Made made(Config c, int threads) {
    fs::remove_all(root_ / "run");
    set_threads(threads);
    run(c, "run");
    Made made{model_bytes("run"), 0, {}};
    EvaluateOptions of;
    of.run = path("run"), of.checkpoint = "latest", of.paths = c.data.paths;
    made.bits = evaluate(of).bits_per_byte;
    SampleOptions what;
    what.run = path("run"), what.checkpoint = "latest", what.tokens = 40, what.count = 2;
    what.precision = c.training.precision;
    made.sample = sample(what);
    set_threads(0);
    return made;
  }

  void expect_same(const Config& c, const std::string& name) {
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      Config one = c;
      one.training.precision = precision;
      const Made first = made(one, 1);
      EXPECT_LT(std::abs(first.bits - 8), 4) << name;
      for (const int threads : {2, 3, 4, 2, 2}) {  // each number of threads, and three runs of one
        const Made again = made(one, threads);
        EXPECT_EQ(again.model == first.model, true) << name << ", weights of " << threads << " threads";
        EXPECT_EQ(again.bits, first.bits) << name << " " << threads;
        EXPECT_EQ(again.sample, first.sample) << name << " " << threads;
      }
    }
  }

  Config with(const std::string& model, const std::string& data, const std::string& file) const {
    return read_config(
        {R"({"model": {"layers": 2, "width": 32, "heads": 2, "dropout": 0.1, )" + model + R"(}, "data": {)" + data +
         R"(}, "training": {"steps": 3, "batch": 2, "warmup_steps": 2, "learning_rate": 0.003,
                           "sample_minutes": 0, "validate_minutes": 0}})"},
        {"test"}, {"data.paths=[\"" + path(file) + "\"]"});
  }
};

TEST_F(Reproducibility, OfAText) {
  expect_same(with(R"x("context": 70, "attention": "fixed(9,2)", "hash_orders": [2], "hash_buckets": 64)x",
                   R"("kind": "text")", "data.txt"),
              "text");
}

TEST_F(Reproducibility, OfPictures) {
  std::string bytes;
  for (int i = 0; i < 40 * 60; ++i) bytes += static_cast<char>(i * i % 251);
  std::ofstream(root_ / "pictures.bin", std::ios::binary) << bytes;
  expect_same(with(R"x("context": 60, "positions": [5, 4, 3], "attention": ["row(12)", "column(12)"])x",
                   R"("kind": "image", "image_size": [5, 4])", "pictures.bin"),
              "pictures");
}

TEST_F(Reproducibility, OfASound) {
  {
    WavWriter wav(path("sound.wav"), 4000);
    std::vector<std::int16_t> samples;
    for (int i = 0; i < 6000; ++i)
      samples.push_back(static_cast<std::int16_t>(9000 * std::sin(i * 0.05 + i * i * 1e-5)));
    wav.append(samples);
  }
  try {
    expect_same(with(R"x("context": 64, "positions": [8, 8], "attention": "strided(8)")x",
                     R"("kind": "sound", "sample_rate": 4000)", "sound.wav"),
                "sound");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    GTEST_SKIP() << error.what();
  }
}

TEST_F(Reproducibility, WhatItTakesIsWrittenDown) {
  const Origin here = this_origin("cpu");
  EXPECT_EQ(here.version, version());
  EXPECT_EQ(here.instruction_set, machine_info().instruction_set);
  EXPECT_NE(origin_words(here).find(here.instruction_set), std::string::npos);
  const TrainResult result = run(config(3), "run");
  EXPECT_EQ(result.origin, here);
  const CheckpointInfo info = describe_checkpoint(find_checkpoint(path("run"), "latest"));
  EXPECT_EQ(info.origin, here);
  EXPECT_EQ(info.data_sha256, result.data_sha256);
  EXPECT_EQ(info.data_sha256.size(), 64u);
  EXPECT_EQ(info.data_bytes, static_cast<std::int64_t>(fs::file_size(path("data.txt"))));
  EvaluateOptions of;
  of.run = path("run"), of.paths = {path("data.txt")}, of.split = "test";
  const Evaluation evaluation = evaluate(of);
  EXPECT_EQ(evaluation.origin, here);
  EXPECT_EQ(evaluation.trained_by, here);
  EXPECT_EQ(evaluation.split, "test");
  std::ifstream log(path("run/log.jsonl"));
  std::string line;
  std::getline(log, line);
  EXPECT_EQ(line.find(R"({"step":0,"event":"started","version":")" + here.version + R"(","commit":"")"), 0u) << line;
  EXPECT_NE(line.find(R"("instruction_set":")" + here.instruction_set + R"(",)"), std::string::npos) << line;
  EXPECT_NE(line.find(R"("libraries":")" + here.libraries + R"(",)"), std::string::npos) << line;
  EXPECT_NE(line.find(R"("processor":")" + machine_info().processor + R"("})"), std::string::npos) << line;
}

TEST_F(Reproducibility, ARunThatGoesOnWithAnotherProgramSaysSo) {
  run(config(6), "run", 2);
  set_commit("0123456789ab+");
  run(config(6), "run", 4, true);
  EXPECT_NE(notes_.find("the run goes on with longstride " + std::string(version()) + " (0123456789ab+), "),
            std::string::npos)
      << notes_;
  EXPECT_NE(notes_.find("; up to step 2 it was longstride "), std::string::npos) << notes_;
  notes_.clear();
  run(config(6), "run", -1, true);
  EXPECT_EQ(notes_, "");
  set_commit("");
  EXPECT_EQ(describe_checkpoint(find_checkpoint(path("run"), "latest")).origin->commit, "0123456789ab+");
}

}  // namespace
}  // namespace longstride
