// These tests write where a run stands and read it back.
#include "train/progress.h"

#include <gtest/gtest.h>

#include "error_words.h"
#include "io/scratch.h"

namespace longstride {
namespace {

Progress read_back(const std::map<std::string, std::string>& metadata) {
  const Scratch scratch;
  write_safetensors(scratch / "state.safetensors", metadata, {});
  return read_progress(SafetensorsFile(scratch / "state.safetensors"));
}

TEST(Progress, EveryNumberComesBack) {
  Progress p;
  double next = 0.1;  // of its own for each
  for (double* number : {&p.elapsed_s, &p.warm_share, &p.smoothed_bits, &p.best_bits, &p.valid_bits, &p.tokens_per_s,
                         &p.validated_s, &p.sampled_s})
    *number = next += 1;
  std::int64_t count = 100;
  for (std::int64_t* number : {&p.step, &p.windows, &p.updates, &p.skipped, &p.skipped_in_a_row, &p.best_step,
                               &p.valid_tokens, &p.validated_step, &p.sampled_step, &p.since_best})
    *number = ++count;
  const Progress read = read_back(progress_metadata(p));
  for (const auto number :
       {&Progress::elapsed_s, &Progress::warm_share, &Progress::smoothed_bits, &Progress::best_bits,
        &Progress::valid_bits, &Progress::tokens_per_s, &Progress::validated_s, &Progress::sampled_s})
    EXPECT_EQ(read.*number, p.*number);
  for (const auto number : {&Progress::step, &Progress::windows, &Progress::updates, &Progress::skipped,
                            &Progress::skipped_in_a_row, &Progress::best_step, &Progress::valid_tokens,
                            &Progress::validated_step, &Progress::sampled_step, &Progress::since_best})
    EXPECT_EQ(read.*number, p.*number);
}

TEST(Progress, WindowsMayBeUnknownButNotImpossible) {
  std::map<std::string, std::string> metadata = progress_metadata(Progress());
  metadata["windows"] = "-2";
  EXPECT_NE(error_words(ErrorKind::corrupt_data, [&] { read_back(metadata); }).find(" counts -2 windows"),
            std::string::npos);
  metadata.erase("windows");
  EXPECT_EQ(read_back(metadata).windows, kUnknownWindows);
}

}  // namespace
}  // namespace longstride
