// These tests hold tasks that are dealt out to threads by what becomes of them.
#include "data/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace longstride {
namespace {

// Waits until the flag is set, at most as long as no machine takes; on one core nobody else sets it.
void wait_for(const std::atomic<bool>& flag) {
  for (int waited = 0; !flag && waited < 1000; ++waited) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

TEST(InParallel, DoesEachTaskOnce) {
  std::vector<std::atomic<int>> done(1000);
  in_parallel(1000, [&](std::int64_t index) { ++done[static_cast<std::size_t>(index)]; });
  for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
}

TEST(InParallel, ThrowsTheErrorOfTheFirstTaskThatHasOne) {
  std::atomic<bool> second_begun = false, first_failed = false;
  const auto task = [&](std::int64_t index) {
    if (index == 0) {
      wait_for(second_begun);
      first_failed = true;
    } else {
      second_begun = true;
      wait_for(first_failed);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the first one's error is there by now
    }
    throw std::runtime_error(std::to_string(index));
  };
  try {
    in_parallel(2, task);
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "0");
  }
}

}  // namespace
}  // namespace longstride
