// These tests change a run's data while it trains on them.
#include <gtest/gtest.h>

#include <functional>
#include <utility>

#include "io/scratch.h"
#include "train/training.h"

namespace longstride {
namespace {

TEST_F(Training, SaysAtItsEndThatTheDataChangedInAnyWay) {
  const std::string data = path("data.txt"), whole = get(data);
  const std::vector<std::pair<std::string, std::function<void()>>> changes = {
      {"26,489 bytes as then, but not the same ones",
       [&] { std::fstream(data, std::ios::in | std::ios::out) << "other bytes"; }},
      {"26,489 bytes then, 26,493 now", [&] { std::ofstream(data, std::ios::app) << "more"; }},
      {"26,489 bytes then, 4 now",
       [&] {
         put(path("new"), "text");
         fs::rename(path("new"), data);
       }},
      {"cannot open \"" + data + "\"", [&] { fs::remove(data); }},
      {"",
       [&] {
         put(path("new"), whole);
         fs::rename(path("new"), data);
       }},
      {"", [&] { fs::last_write_time(data, fs::file_time_type::clock::now()); }},
      {"", [] {}},
  };
  for (const bool stopped : {false, true}) {
    for (const auto& [words, change] : changes) {
      put(data, whole);
      notes_.clear();
      fs::remove_all(path("run"));
      std::atomic<bool> stop = false;
      TrainObserver observer;
      observer.stepped = [&, &change = change](const StepReport& report) {
        if (report.step == 2) change();
        stop = stopped && report.step == 2;
      };
      observer.noted = [&](const std::string& sentence) { notes_ += sentence + "\n"; };
      TrainOptions options;
      options.out = path("run");
      options.stop = &stop;
      const TrainResult result = train(config(4), options, observer);
      EXPECT_EQ(result.interrupted, stopped);
      EXPECT_EQ(result.data_change.substr(0, words.size()), words);
      EXPECT_EQ(result.data_change.empty(), words.empty()) << result.data_change;
      const std::string said = "the data changed while they were trained on: " + words;
      EXPECT_EQ(notes_.substr(0, said.size()), words.empty() ? "" : said) << notes_;
    }
  }
}

}  // namespace
}  // namespace longstride
