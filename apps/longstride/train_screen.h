// What training shows on standard error, and its result in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "longstride/train.h"
#include "progress.h"
#include "words.h"

namespace longstride::program {

class TrainScreen {
 public:
  explicit TrainScreen(bool quiet) : line_(quiet), quiet_(quiet) {}

  void set_processes(const std::string& words) { processes_ = words; }    // and threads that train
  void set_begun_with(const std::string& words) { begun_with_ = words; }  // what lies below the keys that were given
  TrainObserver observer();                                               // refers to this object
  void note(const std::string& sentence) { line_.print(message("train", sentence)); }
  void finish() { line_.finish(); }
  const Config& config() const { return config_; }  // as resolved, once training has started

 private:
  void started(const Config& resolved, const Plan& plan, const std::string& data);
  void stepped(const StepReport& report);
  void sampled(const SampleReport& report);

  ProgressLine line_;
  bool quiet_;
  std::string processes_, begun_with_;
  std::optional<ResumeReport> resumed_;
  std::int64_t saved_step_ = -1;  // that was said last
  Config config_;
  double valid_bits_ = -1;  // of the last validation of this session; -1: there was none
};

// Bits beside marks for the same bytes, where the run lies, what to try next.
std::string result_words(const TrainResult& result, const Config& config, const std::string& out);

}  // namespace longstride::program
