// These tests hold bits per byte against the definition, and the protocol against a plain count.
#include "longstride/evaluate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>

#include "evaluate/order0.h"
#include "evaluate/protocol.h"
#include "io/file.h"
#include "io/sha256.h"
#include "io/system.h"
#include "longstride/error.h"
#include "longstride/image.h"
#include "model/checkpoint.h"
#include "model/random_weights.h"
#include "ops/philox.h"
#include "stored_model.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTrainedContext = 12;

Config small_config() {
  Config config;
  config.model.context = kTrainedContext;
  config.model.layers = 2;
  config.model.width = 16;
  config.model.heads = 2;
  config.model.feedforward = 2;
  config.model.positions = {4, 3};
  config.model.attention = read_attention("fixed(4,1)");
  config.training.precision = Precision::float32;
  return read_config({write_config(config)}, {"test"}, {});
}

std::string some_text(std::int64_t size) {
  std::string text;
  const PhiloxKey key = philox_key(2, Purpose::test);
  while (static_cast<std::int64_t>(text.size()) < size) {
    const auto at = static_cast<std::uint32_t>(text.size());
    text += static_cast<char>("the cat sat on a mat, \n\xff\x80\x01!"[philox({at, 0, 0, 0}, key)[0] % 27]);
  }
  return text;
}

// A run with one checkpoint of random weights, and a file of text.
class Evaluate : public testing::Test {
 protected:
  Evaluate() : config_(small_config()), table_(config_.model) {
    std::string pattern = (fs::temp_directory_path() / "longstride-evaluate-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    store_ = random_weights(table_, 4, 5, 0.5f);
    save();
    text_ = some_text(203);
    write_file_atomically(path("text"), text_);
  }
  ~Evaluate() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }

  void save() {
    const std::string folder = path("run/checkpoints/000000042");
    fs::create_directories(folder);
    save_model(folder + "/model.safetensors", config_, 42, table_, store_.data());
  }

  EvaluateOptions options() const {
    EvaluateOptions o;
    o.run = path("run");
    o.paths = {path("text")};
    return o;
  }

  std::string refused(const EvaluateOptions& o) const {
    return words_of_error(ErrorKind::invalid_argument, [&] { evaluate(o); });
  }

  // -log2 of the softmax of each row's logits at its token, in double.
  static std::vector<double> bits_of(const std::vector<float>& logits, const std::vector<std::int32_t>& tokens) {
    const std::size_t V = logits.size() / tokens.size();
    std::vector<double> bits;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      const double own = logits[t * V + static_cast<std::size_t>(tokens[t])];
      double sum_exp = 0;
      for (std::size_t v = 0; v < V; ++v) sum_exp += std::exp(static_cast<double>(logits[t * V + v]) - own);
      bits.push_back(std::log2(sum_exp));
    }
    return bits;
  }

  // The definition: bits of each token of text, each window by a network of exactly its length.
  std::vector<double> bits_by_window(const std::string& text, std::int64_t m) {
    const LoadedModel loaded = load_model(*backend_, find_checkpoint(path("run"), "latest"), DType::float32);
    std::vector<double> all;
    const auto size = static_cast<std::int64_t>(text.size());
    for (std::int64_t begin = 0; static_cast<std::int64_t>(all.size()) < size; begin += kTrainedContext - m) {
      const std::int64_t end = std::min(begin + kTrainedContext, size);
      Network network(*backend_, config_.model, {1, end - begin, DType::float32, false, false}, loaded.weights());
      std::vector<std::int32_t> tokens;
      for (std::int64_t at = begin; at < end; ++at) {
        tokens.push_back(static_cast<unsigned char>(text[static_cast<std::size_t>(at)]));
      }
      Pass pass;
      pass.tokens = tokens.data();
      const std::vector<double> bits = bits_of(network.logits(pass), tokens);
      for (std::int64_t at = begin == 0 ? 0 : begin + m; at < end; ++at) {
        all.push_back(bits[static_cast<std::size_t>(at - begin)]);
      }
    }
    return all;
  }

  static double sum(const std::vector<double>& values) {
    double total = 0;
    for (const double value : values) total += value;
    return total;
  }

  Config config_;
  ParameterTable table_;
  std::vector<float> store_;
  fs::path root_;
  std::string text_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

TEST(Protocol, ScoresEveryByteOnceWithItsContext) {
  for (std::int64_t T = 1; T <= 9; ++T) {
    for (std::int64_t m = 0; m < T; ++m) {
      for (std::int64_t size = 1; size <= 40; ++size) {
        const std::int64_t windows = count_windows(size, T, m);
        std::int64_t scored = 0;
        for (std::int64_t k = 0; k < windows; ++k) {
          const ScoredWindow w = window_at(k, size, T, m);
          ASSERT_EQ(w.begin, k * (T - m));
          ASSERT_EQ(w.score_begin, scored);
          ASSERT_LT(w.score_begin, w.end);
          ASSERT_LE(w.end - w.begin, T);
          if (k + 1 < windows) {
            ASSERT_EQ(w.end - w.begin, T);
          }
          if (k > 0) {
            ASSERT_EQ(w.score_begin - w.begin, m);
          }
          scored = w.end;
        }
        ASSERT_EQ(scored, size) << T << " " << m;
      }
    }
  }
  EXPECT_EQ(count_windows(0, 5, 2), 0);
}

TEST(Protocol, TakesAsManyWindowsAtOnceAsRowsAreWorth) {
  EXPECT_EQ(windows_at_once(1000, 12288), 1);
  EXPECT_EQ(windows_at_once(1000, 1024), 16);
  EXPECT_EQ(windows_at_once(3, 1024), 3);
  EXPECT_EQ(windows_at_once(0, 1024), 1);
}

TEST_F(Evaluate, DecodesBesideTheRunAndNotWhereACheckpointSays) {
  config_.data.kind = "image";
  config_.data.image_size = {2, 2};
  config_.data.channels = 3;
  config_.data.cache = path("elsewhere");
  save();
  write_png({3, 3, 3, std::vector<std::uint8_t>(27, 100)}, path("a.png"));
  EvaluateOptions o = options();
  o.paths = {path("a.png")};
  o.split = "all";
  EXPECT_EQ(evaluate(o).tokens_scored, kTrainedContext);
  EXPECT_FALSE(fs::exists(path("elsewhere")));
  EXPECT_TRUE(fs::is_directory(path("run/checkpoints/000000042/cache")));
}

TEST_F(Evaluate, GivesTheBitsOfTheDefinition) {
  for (const std::int64_t m : {0, 5, 11}) {
    EvaluateOptions o = options();
    o.min_context = m;
    const Evaluation result = evaluate(o);
    const std::vector<double> expected = bits_by_window(text_, m);
    EXPECT_EQ(result.tokens_scored, 203);
    EXPECT_NEAR(result.bits_per_byte, sum(expected) / 203, 2e-6) << m;  // losses of about 8 bits, float32
    EXPECT_GT(result.standard_error, 0);
  }
}

TEST_F(Evaluate, GivesExactlyEightBitsBeforeTraining) {
  initialise(table_, 9, store_.data());
  save();
  EXPECT_EQ(evaluate(options()).bits_per_byte, 8.0);
}

TEST_F(Evaluate, ScoresFilesShorterThanAContextAndAroundOne) {
  for (const std::size_t size : {1u, 2u, 11u, 12u, 13u, 24u, 25u}) {
    write_file_atomically(path("short"), text_.substr(0, size));
    EvaluateOptions o = options();
    o.paths = {path("short")};
    o.min_context = 7;
    const Evaluation result = evaluate(o);
    EXPECT_EQ(result.tokens_scored, static_cast<std::int64_t>(size));
    EXPECT_EQ(result.context, kTrainedContext);
    EXPECT_NEAR(result.bits_per_byte, sum(bits_by_window(text_.substr(0, size), 7)) / static_cast<double>(size), 2e-6);
    if (size <= 12) {
      EXPECT_EQ(result.standard_error, -1);  // one window
    }
  }
}

TEST_F(Evaluate, GivesTheSameBitsForAnyNumberOfWindowsAtOnce) {
  const LoadedModel loaded = load_model(*backend_, find_checkpoint(path("run"), "latest"), DType::float32);
  DataConfig data_config;
  data_config.paths = {path("text")};
  const Dataset data(data_config);
  std::vector<double> sums;
  for (const std::int64_t batch : {1, 2, 7, 40}) {
    Network network(*backend_, config_.model, {batch, kTrainedContext, DType::float32, false, false}, loaded.weights());
    const Score score = score_range(network, data, {3, 200}, 4);
    EXPECT_EQ(score.tokens, 197);
    EXPECT_EQ(score.windows, count_windows(197, kTrainedContext, 4));
    sums.push_back(score.bits_sum);
  }
  for (const double bits : sums) EXPECT_NEAR(bits, sums.front(), 1e-6 * sums.front());
}

TEST_F(Evaluate, TakesTheStandardErrorFromWindowsAsIndependentSamples) {
  EvaluateOptions o = options();
  o.bytes = 30;  // windows of 12, 12 and 6 tokens
  const Evaluation result = evaluate(o);
  const std::vector<double> bits = bits_by_window(text_.substr(0, 30), 0);
  const double mean = sum(bits) / 30;
  double squares = 0;
  for (const auto& [begin, end] : {std::pair(0, 12), std::pair(12, 24), std::pair(24, 30)}) {
    const double window = sum({bits.begin() + begin, bits.begin() + end});
    squares += (window - mean * (end - begin)) * (window - mean * (end - begin));
  }
  EXPECT_NEAR(result.standard_error, std::sqrt(squares * 3 / 2) / 30, 1e-5);
}

TEST_F(Evaluate, SaysWhatItScoredAndWithWhat) {
  EvaluateOptions o = options();
  o.offset = 20;
  o.bytes = 50;
  o.min_context = 3;
  const Evaluation result = evaluate(o);
  EXPECT_EQ(result.tokens_scored, 50);
  EXPECT_EQ(result.offset, 20);
  EXPECT_EQ(result.min_context, 3);
  EXPECT_EQ(result.data_sha256, sha256_hex(as_bytes(std::string_view(text_).substr(20, 50))));
  EXPECT_EQ(result.checkpoint, path("run/checkpoints/000000042/model.safetensors"));
  EXPECT_EQ(result.checkpoint_sha256, sha256_hex(as_bytes(read_text(result.checkpoint))));
  EXPECT_EQ(result.step, 42);
  EXPECT_EQ(result.precision, "float32");  // what the run trained with
  EXPECT_NE(result.data.find(path("text")), std::string::npos);
  EXPECT_NEAR(result.bits_per_byte, sum(bits_by_window(text_.substr(20, 50), 3)) / 50, 2e-6);
  o.precision = Precision::bfloat16;
  const Evaluation rounded = evaluate(o);
  EXPECT_EQ(rounded.precision, "bfloat16");
  EXPECT_NEAR(rounded.bits_per_byte, result.bits_per_byte, 0.05);
  EXPECT_NE(rounded.bits_per_byte, result.bits_per_byte);
}

TEST_F(Evaluate, ScoresAPartByTheRunsOwnShares) {
  EvaluateOptions o = options();
  o.split = "test";
  const Evaluation result = evaluate(o);  // 203 bytes, 0.9 and 0.05: the test part begins at round(192.85)
  EXPECT_EQ(result.tokens_scored, 10);
  EXPECT_EQ(result.data_sha256, sha256_hex(as_bytes(std::string_view(text_).substr(193))));
  config_.data.split = {0.5, 0.25, 0.25};
  save();
  EXPECT_EQ(evaluate(o).data_sha256, sha256_hex(as_bytes(std::string_view(text_).substr(152))));  // round(152.25)
}

TEST_F(Evaluate, ScoresNoMoreThanThePartHas) {
  EvaluateOptions o = options();
  o.split = "valid";  // from round(182.7) to 193
  o.offset = 4;
  o.bytes = 100;
  const Evaluation result = evaluate(o);
  EXPECT_EQ(result.tokens_scored, 6);
  EXPECT_EQ(result.data_sha256, sha256_hex(as_bytes(std::string_view(text_).substr(187, 6))));
}

TEST_F(Evaluate, ScoresPicturesWhole) {
  config_.data.kind = "image";
  config_.data.image_size = {4, 3};
  config_.data.channels = 1;
  save();
  write_file_atomically(path("pictures.bin"), some_text(5 * kTrainedContext));
  EvaluateOptions o = options();
  o.paths = {path("pictures.bin")};
  o.split = "all";
  o.offset = kTrainedContext;
  EXPECT_EQ(evaluate(o).windows, 4);
  o.offset = 5;
  EXPECT_EQ(refused(o), "--offset: needs whole pictures, a multiple of 12 bytes, got 5");
  o.offset = 0;
  o.min_context = 3;
  EXPECT_EQ(refused(o), "--min-context: pictures are scored whole, one window each; needs 0, got 3");
}

TEST_F(Evaluate, TakesTheFormatThatIsAskedForOrThatTheRunTrainedWith) {
  for (const Precision trained : {Precision::float32, Precision::bfloat16}) {
    config_.training.precision = trained;
    save();
    EXPECT_EQ(evaluate(options()).precision, trained == Precision::float32 ? "float32" : "bfloat16");
  }
  Model model({.run = path("run")});
  EvaluateOptions o = options();
  double bits[2];
  for (const Precision asked : {Precision::float32, Precision::bfloat16}) {  // of one model, one after the other
    o.precision = asked;
    bits[asked == Precision::bfloat16] = model.evaluate(o).bits_per_byte;
    EXPECT_EQ(bits[asked == Precision::bfloat16], evaluate(o).bits_per_byte);
  }
  EXPECT_NE(bits[0], bits[1]);
}

TEST_F(Evaluate, TellsProgressAndStopsWhereItIsAsked) {
  std::atomic<bool> stop = false;
  EvaluateOptions o = options();
  double last = 0;
  o.progress = [&](double share, double bits) {
    EXPECT_GT(share, last);
    EXPECT_GT(bits, 0);
    last = share;
  };
  evaluate(o);
  EXPECT_EQ(last, 1);
  stop = true;
  o.stop = &stop;
  o.progress = nullptr;
  EXPECT_EQ(evaluate(o).tokens_scored, 0);
}

TEST_F(Evaluate, RefusesWhatCannotBeScored) {
  EvaluateOptions o = options();
  o.min_context = 12;
  EXPECT_EQ(refused(o), "--min-context: needs a whole number in [0, 11], got 12 (the model's context is 12)");
  o.min_context = -1;
  EXPECT_EQ(refused(o), "--min-context: needs a whole number in [0, 11], got -1 (the model's context is 12)");
  o = options();
  o.offset = 203;
  EXPECT_EQ(refused(o), "--offset: needs a whole number in [0, 202], got 203 (the data has 203 bytes)");
  o = options();
  o.bytes = 0;
  EXPECT_EQ(refused(o), "--bytes: needs a whole number of at least 1, or -1 for all, got 0");
  o = options();
  o.checkpoint = "43";
  EXPECT_EQ(refused(o), "--checkpoint: run \"" + path("run") + "\" has none of step 43; it has 42");
  write_file_atomically(path("one"), std::string_view("x"));
  o = options();
  o.paths = {path("one")};
  o.split = "test";
  EXPECT_EQ(refused(o), "--split: the test part of 1 file, 1 byte is empty; give more data or another split");
}

TEST_F(Evaluate, NeverGivesAFigureThatIsNotFinite) {
  for (const Parameter& p : table_.entries()) {  // finite weights whose logits overflow
    if (p.name != "output.weight") continue;
    for (std::int64_t e = 0; e < p.count; ++e)
      store_[static_cast<std::size_t>(p.offset + e)] = e % 2 == 0 ? 3e38f : -3e38f;
  }
  save();
  const std::string said = words_of_error(ErrorKind::diverged, [&] { evaluate(options()); });
  EXPECT_NE(said.find("evaluate: the model's loss at offset "), std::string::npos) << said;
}

TEST_F(Evaluate, CountsTheEntropyOfBytesByTheirFrequencies) {
  write_file_atomically(path("even"), std::string_view("abcdabcdaabbccdd"));
  write_file_atomically(path("skew"), std::string_view("aaab"));
  const auto bits = [&](const char* name, ByteRange range) {
    DataConfig config;
    config.paths = {path(name)};
    return order0_bits(Dataset(config), range);
  };
  EXPECT_EQ(bits("even", {0, 16}), 2);
  EXPECT_EQ(bits("even", {8, 10}), 0);
  EXPECT_EQ(bits("even", {5, 5}), 0);
  EXPECT_NEAR(bits("skew", {0, 4}), 0.25 * 2 - 0.75 * std::log2(0.75), 1e-15);
}

}  // namespace
}  // namespace longstride
