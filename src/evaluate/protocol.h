// The protocol "minimum context m" (docs/model.md, section 4), streaming over data of any size.
//
// The bytes of a range are cut into windows of T tokens; window k begins at byte k (T - m) of the range. The first
// scores all its tokens, each later one its last T - m, so that every scored token but those of the first window has at
// least m tokens of context. The last window ends with the range: it begins where the rule says, and is shorter than T
// where the range ends before it is full. Every byte is scored exactly once. A range of at most T bytes is one window.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "model/network.h"
#include "parallel/world.h"

namespace longstride {

// One window, in bytes from the range's beginning: reads [begin, end), scores [score_begin, end).
struct ScoredWindow {
  std::int64_t begin = 0;
  std::int64_t score_begin = 0;
  std::int64_t end = 0;
};

// How many windows `size` bytes need. T >= 1; m in [0, T).
std::int64_t count_windows(std::int64_t size, std::int64_t T, std::int64_t m);
ScoredWindow window_at(std::int64_t index, std::int64_t size, std::int64_t T, std::int64_t m);

struct Score {
  double bits_sum = 0;  // in order: of tokens within a window, then of windows
  std::int64_t tokens = 0;
  std::int64_t windows = 0;
  // Of the mean, windows as independent samples of (bits b, tokens t): the ratio estimator
  //   sqrt(K / (K - 1) * sum_k (b_k - mean t_k)^2) / sum_k t_k.  -1 where there are fewer than two windows.
  double standard_error = -1;

  double bits() const { return tokens > 0 ? bits_sum / static_cast<double>(tokens) : 0; }  // a token
};

// Windows of a network's batch so that products have rows enough for every thread and memory stays bounded.
std::int64_t windows_at_once(std::int64_t windows, std::int64_t T);

// Where tokens come from: [begin, end) of a row of them; `read` fills `tokens` from `at` on, which is counted as begin
// is.
struct TokenSource {
  std::int64_t begin = 0, end = 0;
  std::function<void(std::int64_t at, std::span<std::int32_t> tokens)> read;
};

// Scores the tokens with windows of network.shape().tokens tokens, shape().batch of them at once. The network may have
// been made for training: dropout is off. progress (may be empty) hears the share done and the bits a token so far.
// Where `stop` is set the score covers the tokens before: tokens < end - begin tells.
// Errors: invalid_argument where min_context leaves nothing to score or a token is not in the vocabulary, diverged
// where a loss is not finite. bits, where given, gets those of every token that was scored, in order.
//
// Where the world has several processes all of them call this with the same arguments, each runs its share of the
// batches, and all get the Score that one process gets; what one hears of `stop`, all do. bits is then not given.
Score score_tokens(Network& network, const TokenSource& source, std::int64_t min_context,
                   const std::function<void(double share, double bits)>& progress = {},
                   const std::atomic<bool>* stop = nullptr, std::vector<float>* bits = nullptr,
                   World& world = world_of_one());
// The same of a data set's bytes.
Score score_range(Network& network, const Dataset& data, ByteRange range, std::int64_t min_context,
                  const std::function<void(double share, double bits)>& progress = {},
                  const std::atomic<bool>* stop = nullptr, World& world = world_of_one(),
                  std::vector<float>* bits = nullptr);

}  // namespace longstride
