// A Model's score of tokens that the caller has (longstride/model.h).
#include <algorithm>

#include <fmt/format.h>

#include "evaluate/scoring_network.h"
#include "longstride/error.h"
#include "longstride/model.h"

namespace longstride {

Network& scoring_network(HeldModel& held, std::int64_t size, std::int64_t min_context, DType type) {
  const std::int64_t T = std::min(held.model().context, size);
  return held.network(windows_at_once(count_windows(size, T, min_context), T), T, type);
}

TokenScore Model::score(std::span<const std::int32_t> tokens, std::int64_t min_context, const std::atomic<bool>* stop) {
  const std::int64_t context = config().model.context, size = std::ssize(tokens);
  if (tokens.empty()) throw_invalid("score: needs at least one token, got none");
  if (min_context < 0 || min_context >= context) {
    throw_invalid(fmt::format("score: needs a minimum context in [0, {}], got {} (the model's context is {})",
                              context - 1, min_context, context));
  }
  held_->check_tokens("score", tokens);
  const auto read = [&](std::int64_t at, std::span<std::int32_t> into) {
    std::copy_n(tokens.begin() + at, into.size(), into.begin());
  };
  TokenScore result;
  result.bits.reserve(tokens.size());
  const Score score = score_tokens(scoring_network(*held_, size, min_context, held_->type), {0, size, read},
                                   min_context, {}, stop, &result.bits);
  result.bits_per_token = score.bits();
  result.standard_error = score.standard_error;
  result.windows = score.windows;
  return result;
}

}  // namespace longstride
