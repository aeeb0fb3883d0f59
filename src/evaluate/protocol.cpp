// This cuts bytes into windows, runs the network over them and adds up the bits of those that are scored.
#include "evaluate/protocol.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::int64_t kRows = 16384;  // of a batch, where windows are smaller than that

// Sums over windows that the mean and its standard error need.
class Sums {
 public:
  void add(double bits, std::int64_t tokens) {
    const auto t = static_cast<double>(tokens);
    score_.bits_sum += bits;
    score_.tokens += tokens;
    ++score_.windows;
    bits_squared_ += bits * bits;
    bits_tokens_ += bits * t;
    tokens_squared_ += t * t;
  }

  double bits() const { return score_.bits(); }

  Score score() const {
    Score score = score_;
    if (score.windows < 2) return score;
    const double mean = score.bits(), K = static_cast<double>(score.windows);
    const double squares = bits_squared_ - 2 * mean * bits_tokens_ + mean * mean * tokens_squared_;
    // Rounding may leave a negative zero of a sum of squares.
    score.standard_error = std::sqrt(std::max(0.0, squares) * K / (K - 1)) / static_cast<double>(score.tokens);
    return score;
  }

 private:
  Score score_;
  double bits_squared_ = 0, bits_tokens_ = 0, tokens_squared_ = 0;
};

struct WindowBits {
  double bits = 0;  // of the tokens scored, in order; of the first one whose loss is not finite
  std::int64_t tokens = 0;
  std::int64_t not_finite = -1;  // offset of that one; -1: none
};

// The windows of one pass in host memory: what the network reads and what it answers.
class Batch {
 public:
  Batch(const TokenSource& source, std::int64_t B, std::int64_t T, std::vector<float>* kept)
      : source_(source),
        T_(T),
        kept_(kept),
        tokens_(static_cast<std::size_t>(B * T)),
        scored_(tokens_.size()),
        bits_(tokens_.size()) {}

  void clear() { windows_.clear(); }
  bool is_empty() const { return windows_.empty(); }

  void add(const ScoredWindow& window) {
    const std::size_t row = windows_.size() * static_cast<std::size_t>(T_);
    const auto used = static_cast<std::size_t>(window.end - window.begin);
    const auto tokens = std::span(tokens_).subspan(row, static_cast<std::size_t>(T_));
    source_.read(source_.begin + window.begin, tokens.first(used));
    // What follows the end of a shorter window is padding: nothing that is scored reads it.
    std::fill(tokens.begin() + static_cast<std::ptrdiff_t>(used), tokens.end(), 0);
    for (std::size_t t = 0; t < static_cast<std::size_t>(T_); ++t) {
      scored_[row + t] = t < used && window.begin + static_cast<std::int64_t>(t) >= window.score_begin ? 1 : 0;
    }
    windows_.push_back(window);
  }

  std::vector<WindowBits> run(Network& network) {
    Pass pass;
    pass.batch = static_cast<std::int64_t>(windows_.size());
    pass.tokens = tokens_.data();
    pass.scored = scored_.data();
    network.forward(pass, bits_.data());
    std::vector<WindowBits> all;
    const float* bits = bits_.data();
    for (const ScoredWindow& window : windows_) {
      WindowBits sum{0, window.end - window.score_begin};
      for (std::int64_t at = window.score_begin; at < window.end && sum.not_finite < 0; ++at) {
        sum.bits += bits[at - window.begin];
        if (!std::isfinite(bits[at - window.begin])) sum.not_finite = at, sum.bits = bits[at - window.begin];
      }
      if (kept_ != nullptr)
        kept_->insert(kept_->end(), bits + (window.score_begin - window.begin), bits + (window.end - window.begin));
      all.push_back(sum);
      bits += T_;
    }
    return all;
  }

 private:
  const TokenSource& source_;
  std::int64_t T_;
  std::vector<float>* kept_;  // of every scored token, in order; may be null
  std::vector<ScoredWindow> windows_;
  std::vector<std::int32_t> tokens_;  // (B, T)
  std::vector<std::uint8_t> scored_;  // (B, T)
  std::vector<float> bits_;           // (B, T)
};

[[noreturn]] void refuse_loss(double bits, std::int64_t at) {
  throw Error(ErrorKind::diverged,
              fmt::format("evaluate: the model's loss at offset {} of the data is {} bits; its values overflow, another "
                          "checkpoint or --precision float32 may be sound",
                          with_commas(at), bits));
}

// A round's windows of all processes, in order, in place of this one's. False where one of them was stopped.
bool gather_round(World& world, std::int64_t B, bool stopped, std::vector<WindowBits>& round) {
  if (world.size() == 1) return !stopped;
  const auto stride = static_cast<std::size_t>(B + 1);
  std::vector<WindowBits> all(stride * static_cast<std::size_t>(world.size()));
  const auto place = all.begin() + static_cast<std::ptrdiff_t>(stride) * world.rank();
  place->bits = stopped ? 1 : 0;
  place->tokens = std::ssize(round);
  std::copy(round.begin(), round.end(), place + 1);
  const auto bytes = static_cast<std::int64_t>(stride * sizeof(WindowBits));
  world.all_gather(&*place, bytes, all.data());
  round.clear();
  bool any = false;
  for (auto from = all.begin(); from != all.end(); from += static_cast<std::ptrdiff_t>(stride)) {
    any = any || from->bits != 0;
    round.insert(round.end(), from + 1, from + 1 + from->tokens);
  }
  return !any;
}

}  // namespace

std::int64_t count_windows(std::int64_t size, std::int64_t T, std::int64_t m) {
  if (size <= 0) return 0;
  return size <= T ? 1 : 1 + (size - T + (T - m) - 1) / (T - m);
}

ScoredWindow window_at(std::int64_t index, std::int64_t size, std::int64_t T, std::int64_t m) {
  const std::int64_t begin = index * (T - m);
  return {begin, index == 0 ? 0 : begin + m, std::min(begin + T, size)};
}

std::int64_t windows_at_once(std::int64_t windows, std::int64_t T) {
  return std::clamp<std::int64_t>(kRows / T, 1, std::max<std::int64_t>(1, windows));
}

Score score_tokens(Network& network, const TokenSource& source, std::int64_t min_context,
                   const std::function<void(double share, double bits)>& progress, const std::atomic<bool>* stop,
                   std::vector<float>* bits, World& world) {
  const std::int64_t T = network.shape().tokens, size = source.end - source.begin;
  const std::int64_t m = size <= T ? 0 : min_context;  // one window scores all its tokens, whatever m
  if (m < 0 || m >= T) {
    throw_invalid(fmt::format("evaluate: needs a minimum context in [0, {}], got {} (windows of {})", T - 1, m, T));
  }
  const std::int64_t windows = count_windows(size, T, m), B = network.shape().batch;
  Batch batch(source, B, T, bits);
  Sums sums;
  for (std::int64_t first = 0; first < windows; first += B * world.size()) {  // of a round: a batch a process
    batch.clear();
    const std::int64_t mine = first + world.rank() * B;
    const bool stopped = stop != nullptr && stop->load();
    for (std::int64_t index = mine; !stopped && index < std::min(mine + B, windows); ++index)
      batch.add(window_at(index, size, T, m));
    std::vector<WindowBits> round = batch.is_empty() ? std::vector<WindowBits>() : batch.run(network);
    if (!gather_round(world, B, stopped, round)) break;
    for (const WindowBits& window : round) {
      if (window.not_finite >= 0) refuse_loss(window.bits, source.begin + window.not_finite);
      sums.add(window.bits, window.tokens);
    }
    if (progress)
      progress(static_cast<double>(std::min(first + B * world.size(), windows)) / static_cast<double>(windows),
               sums.bits());
  }
  return sums.score();
}

Score score_range(Network& network, const Dataset& data, ByteRange range, std::int64_t min_context,
                  const std::function<void(double share, double bits)>& progress, const std::atomic<bool>* stop,
                  World& world, std::vector<float>* bits) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(network.shape().tokens));
  const auto read = [&](std::int64_t at, std::span<std::int32_t> tokens) {
    const auto taken = std::span(bytes).first(tokens.size());
    data.read(at, taken);
    std::copy(taken.begin(), taken.end(), tokens.begin());
  };
  return score_tokens(network, {range.begin, range.end, read}, min_context, progress, stop, bits, world);
}

}  // namespace longstride
