// These tests let threads play processes that sample together: the samples of one process, in its order.
#include "sample/share.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>

#include "longstride/error.h"
#include "stored_model.h"

namespace longstride::tests {
namespace {

class SharedSample : public testing::Test {
 protected:
  SampleOptions options(std::int64_t count, std::int64_t tokens = 30) const {
    SampleOptions options;
    options.run = stored_.run();
    options.count = count;
    options.tokens = tokens;
    options.seed = 5;
    options.prompts = {{1, 2, 3}, {}, {7}};
    return options;
  }

  StoredModel stored_;
};

TEST_F(SharedSample, IsThatOfOneProcessInEveryProcess) {
  for (const std::int64_t count : {1, 3, 10}) {
    const Sequences expected = sample(options(count));
    ASSERT_EQ(std::ssize(expected), count);
    for (const int processes : {2, 4, 7}) {
      run_threads(processes, [&](World& world) {
        SampleOptions shared = options(count);
        shared.world = &world;
        EXPECT_EQ(sample(shared), expected) << count << " by " << processes;
      });
    }
  }
}

TEST_F(SharedSample, OfAHeldModelToo) {
  const Sequences expected = sample(options(5));
  run_threads(3, [&](World& world) {
    Model model = stored_.load();
    SampleOptions shared = options(5);
    shared.world = &world;
    EXPECT_EQ(model.sample(shared), expected);
  });
}

// Longer than the processes' rounds between two meetings, and of no tokens at all.
TEST_F(SharedSample, IsOfAnyLength) {
  for (const std::int64_t tokens : {0, 200}) {
    const Sequences expected = sample(options(3, tokens));
    run_threads(2, [&](World& world) {
      SampleOptions shared = options(3, tokens);
      shared.world = &world;
      EXPECT_EQ(sample(shared), expected);
    });
  }
}

TEST_F(SharedSample, TellsEveryTokenOfAllInOrderOfPosition) {
  const Sequences expected = sample(options(7));
  run_threads(3, [&](World& world) {
    SampleOptions shared = options(7);
    shared.world = &world;
    Sequences told(7);
    for (std::int64_t i = 0; i < 7; ++i) told[static_cast<std::size_t>(i)] = shared.prompt(i);
    shared.made = [&](std::int64_t sequence, std::uint8_t token) {
      told[static_cast<std::size_t>(sequence)].push_back(token);
    };
    sample(shared);
    EXPECT_EQ(told, expected);
  });
}

TEST_F(SharedSample, HasPartsThatFollowOneAnotherOfWhichTheFirstIsNoneLess) {
  for (const std::int64_t count : {1, 4, 5, 1000}) {
    std::mutex mutex;
    std::map<int, std::pair<std::int64_t, std::int64_t>> parts;
    const SampleOptions asked = options(count);
    run_threads(4, [&](World& world) {
      const Sharing sharing(asked, world);
      const std::scoped_lock lock(mutex);
      parts[world.rank()] = {sharing.begin(), sharing.end()};
    });
    std::int64_t at = 0;
    for (const auto& [rank, part] : parts) {
      EXPECT_EQ(part.first, at) << rank;
      at = part.second;
      EXPECT_LE(part.second - part.first, parts[0].second) << rank;
      EXPECT_GE(part.second - part.first, count / 4) << rank;
    }
    EXPECT_EQ(at, count);
  }
}

TEST_F(SharedSample, StopsInAllWhereOneIsTold) {
  constexpr std::int64_t kMany = 1'000'000;  // tokens that would take far longer than a test
  run_threads(4, [&](World& world) {
    std::atomic<bool> stop = false;
    SampleOptions shared = options(8, kMany);
    shared.world = &world;
    std::int64_t told = 0;
    if (world.rank() == 2) {
      shared.stop = &stop;
      shared.made = [&](std::int64_t, std::uint8_t) { stop = ++told >= 100; };
    }
    const Sequences made = sample(shared);
    ASSERT_EQ(std::ssize(made), 8);
    EXPECT_GE(std::ssize(made[4]), 40);  // of rank 2
    for (const std::vector<std::uint8_t>& one : made) EXPECT_LT(std::ssize(one), kMany);
  });
}

TEST_F(SharedSample, IsRefusedWhereACheckpointDiffers) {
  const StoredModel other(9);
  const auto body = [&](World& world) {
    Model model = world.rank() == 1 ? other.load() : stored_.load();
    SampleOptions shared = options(4);
    shared.world = &world;
    model.sample(shared);
  };
  EXPECT_EQ(words_of_error(ErrorKind::corrupt_data, [&] { run_threads(3, body); }),
            "sample: the checkpoint of process 1 of 3 differs from that of process 0; all need the same files");
}

TEST_F(SharedSample, IsRefusedWhereOptionsDiffer) {
  const auto words = [&](const std::function<void(SampleOptions&)>& change) {
    return words_of_error(ErrorKind::invalid_argument, [&] {
      run_threads(3, [&](World& world) {
        SampleOptions shared = options(4);
        shared.world = &world;
        if (world.rank() == 2) change(shared);
        sample(shared);
      });
    });
  };
  const std::string differs = "sample: process 2 was started otherwise than process 0: ";
  EXPECT_EQ(words([](SampleOptions& o) { o.seed = 6; }), differs + "--seed is 6 and not 5");
  EXPECT_EQ(words([](SampleOptions& o) { o.temperature = 0.5; }), differs + "--temperature is 0.5 and not 1");
  EXPECT_EQ(words([](SampleOptions& o) { o.count = 1; }), differs + "--count is 1 and not 4");
  EXPECT_EQ(words([](SampleOptions& o) {
              o.prompts = {{1, 2}, {3}, {7}};
            }).substr(0, differs.size() + 18),
            differs + "the sha256 of what");
}

}  // namespace
}  // namespace longstride::tests
