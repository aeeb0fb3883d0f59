// A folder with data of the test's own, and small runs in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/file.h"
#include "longstride/checkpoint.h"
#include "longstride/train.h"

namespace longstride {

namespace fs = std::filesystem;

class Training : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("longstride-train-" + std::to_string(::getpid()));
    fs::create_directories(root_);
    std::ofstream data(root_ / "data.txt");
    for (int i = 0; i < 700; ++i) data << "line " << i * i % 97 << " of a text that repeats itself\n";
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }

  Config config(std::int64_t steps) const {
    const std::string text = R"x({"model": {"context": 70, "layers": 2, "width": 32, "heads": 2, "feedforward": 2,
      "attention": "fixed(9,2)", "dropout": 0.1}, "training": {"batch": 2, "learning_rate": 0.003, "warmup_steps": 4,
      "ema": 0, "sample_minutes": 0, "validate_minutes": 0, "precision": "float32"}})x";
    return read_config({text}, {"test"},
                       {"training.steps=" + std::to_string(steps), "data.paths=[\"" + path("data.txt") + "\"]"});
  }

  // With a validation and a checkpoint after each step.
  Config saved_every_step(std::int64_t steps) const {
    Config c = config(steps);
    c.training.checkpoint_minutes = c.training.validate_minutes = 1e-9;
    return c;
  }

  TrainResult run(const Config& c, const std::string& name, std::int64_t stop_at = -1, bool resume = false) {
    std::atomic<bool> stop = false;
    TrainObserver observer;
    observer.stepped = [&](const StepReport& r) {
      reports_.push_back(r);
      if (r.step == stop_at) stop = true;
    };
    observer.noted = [&](const std::string& sentence) { notes_ += sentence + "\n"; };
    TrainOptions options;
    options.out = path(name);
    options.resume = resume;
    options.stop = &stop;
    return train(c, options, observer);
  }

  std::string model_bytes(const std::string& run) const { return read_text(find_checkpoint(path(run), "latest")); }

  fs::path root_;
  std::vector<StepReport> reports_;
  std::string notes_;  // what was said, a sentence a line
};

}  // namespace longstride
