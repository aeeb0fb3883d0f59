// These tests let threads play processes that evaluate together: the bits of one process, each reading its own windows.
#include <atomic>
#include <mutex>

#include "evaluate/scoring_network.h"
#include "longstride/evaluate.h"
#include "longstride/file.h"
#include "model/precision.h"
#include "same_evaluation.h"

namespace longstride::tests {
namespace {

constexpr std::int64_t kContext = 3072;  // five windows are a batch

class SharedEvaluation : public StoredText {
 protected:
  SharedEvaluation() : StoredText(100'000, kContext) {}
};

TEST_F(SharedEvaluation, GivesTheFiguresOfOneProcessToAll) {
  for (const std::int64_t m : {std::int64_t{0}, kContext / 2}) {
    const Evaluation expected = evaluate(options(m));
    EXPECT_FALSE(expected.interrupted);
    for (const int processes : {2, 3, 5}) {
      run_threads(processes, [&](World& world) {
        EvaluateOptions shared = options(m);
        shared.world = &world;
        std::vector<double> shares;
        shared.progress = [&](double share, double) { shares.push_back(share); };
        expect_same(evaluate(shared), expected);
        if (world.rank() == 0) {
          EXPECT_EQ(shares.back(), 1);
        } else {
          EXPECT_TRUE(shares.empty());  // the first one alone tells
        }
      });
    }
  }
}

TEST_F(SharedEvaluation, ReadsEveryWindowInOneProcessOnly) {
  constexpr int kProcesses = 3;
  const std::int64_t size = std::ssize(tokens_), m = 100;
  std::mutex mutex;
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> read_by(kProcesses);
  run_threads(kProcesses, [&](World& world) {
    HeldModel held(stored_.file(), Device::cpu);
    const auto read = [&](std::int64_t at, std::span<std::int32_t> into) {
      std::copy_n(tokens_.begin() + at, into.size(), into.begin());
      const std::scoped_lock lock(mutex);
      begins.push_back(at);
      ++read_by[static_cast<std::size_t>(world.rank())];
    };
    score_tokens(scoring_network(held, size, m, DType::float32), {0, size, read}, m, {}, nullptr, nullptr, world);
  });
  std::sort(begins.begin(), begins.end());
  std::vector<std::int64_t> windows;
  for (std::int64_t k = 0; k < count_windows(size, kContext, m); ++k)
    windows.push_back(window_at(k, size, kContext, m).begin);
  EXPECT_EQ(begins, windows);
  for (const std::int64_t windows_read : read_by) EXPECT_GT(windows_read, 0);
}

TEST_F(SharedEvaluation, StopsInAllWhereOneIsTold) {
  run_threads(3, [&](World& world) {
    const std::atomic<bool> stop = world.rank() == 2;
    EvaluateOptions shared = options(0);
    shared.world = &world;
    shared.stop = &stop;
    const Evaluation result = evaluate(shared);
    EXPECT_TRUE(result.interrupted);
    EXPECT_EQ(result.tokens_scored, 0);
  });
}

TEST_F(SharedEvaluation, IsRefusedWhereFilesDiffer) {
  const StoredModel other(9, 256, kContext);
  write_file_atomically(stored_.path("shorter"), std::string(5000, 'x'));
  const auto words = [&](const std::function<void(EvaluateOptions&)>& change) {
    return words_of_error(ErrorKind::corrupt_data, [&] {
      run_threads(2, [&](World& world) {
        EvaluateOptions shared = options(0);
        shared.world = &world;
        Model model = stored_.load();
        if (world.rank() == 1) change(shared);
        if (world.rank() == 1 && shared.run != stored_.run()) model = other.load();
        model.evaluate(shared);
      });
    });
  };
  std::string changed = read_text(stored_.path("text"));
  changed[changed.size() / 2] ^= 1;
  write_file_atomically(stored_.path("changed"), changed);  // a byte of as many
  const std::string differs = " of process 1 of 2 differs from that of process 0; all need the same files";
  EXPECT_EQ(words([&](EvaluateOptions& o) { o.paths = {stored_.path("changed")}; }), "evaluate: the data" + differs);
  EXPECT_EQ(words([&](EvaluateOptions& o) { o.run = other.run(); }), "evaluate: the checkpoint" + differs);
  EXPECT_EQ(words([&](EvaluateOptions& o) { o.paths = {stored_.path("shorter")}; }), "evaluate: the data" + differs);
}

// Figures would be of something that nobody asked for, or the processes wait for one another for ever.
TEST_F(SharedEvaluation, IsRefusedWhereOptionsDiffer) {
  const auto words = [&](const std::function<void(EvaluateOptions&)>& change) {
    return words_of_error(ErrorKind::invalid_argument, [&] {
      run_threads(2, [&](World& world) {
        EvaluateOptions shared = options(0);
        shared.world = &world;
        if (world.rank() == 1) change(shared);
        evaluate(shared);
      });
    });
  };
  const std::string differs = "evaluate: process 1 was started otherwise than process 0: ";
  EXPECT_EQ(words([](EvaluateOptions& o) { o.min_context = 7; }), differs + "--min-context is 7 and not 0");
  EXPECT_EQ(words([](EvaluateOptions& o) { o.split = "test"; }), differs + "--split is test and not all");
  EXPECT_EQ(words([](EvaluateOptions& o) { o.bytes = 500; }), differs + "--bytes is 500 and not -1");
  EXPECT_EQ(words([](EvaluateOptions& o) { o.precision = Precision::bfloat16; }),
            differs + "--precision is bfloat16 and not " + to_string(options(0).precision));
}

}  // namespace
}  // namespace longstride::tests
