// This computes the probabilities of each scored window once more and picks the likeliest tokens.
#include "evaluate/scored_tokens.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "evaluate/protocol.h"

namespace longstride {
namespace {

// The `most` likeliest tokens by their logits, equals by index: p = softmax(logits).
std::vector<LikelyToken> likeliest(std::span<const float> logits, std::int64_t most) {
  std::vector<std::int32_t> ranked(logits.size());
  std::iota(ranked.begin(), ranked.end(), 0);
  const auto logit = [&](std::int32_t token) { return logits[static_cast<std::size_t>(token)]; };
  const auto first = static_cast<std::ptrdiff_t>(std::min(most, std::ssize(ranked)));
  std::partial_sort(ranked.begin(), ranked.begin() + first, ranked.end(), [&](std::int32_t a, std::int32_t b) {
    return logit(a) > logit(b) || (logit(a) == logit(b) && a < b);
  });
  const double highest = logit(ranked.front());
  double sum = 0;
  for (const float value : logits) sum += std::exp(value - highest);
  std::vector<LikelyToken> likely;
  for (std::ptrdiff_t rank = 0; rank < first; ++rank) {
    const std::int32_t token = ranked[static_cast<std::size_t>(rank)];
    likely.push_back({token, std::exp(logit(token) - highest) / sum});
  }
  return likely;
}

}  // namespace

void tell_tokens(HeldModel& held, const Dataset& data, ByteRange range, DType type, const std::vector<float>& bits,
                 const EvaluateOptions& options) {
  const std::int64_t V = held.model().vocabulary, T = std::min(held.model().context, range.size());
  const std::int64_t m = range.size() <= T ? 0 : options.min_context;
  Network& network = held.network(1, T, type);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(T));
  std::vector<std::int32_t> tokens(bytes.size());
  std::vector<float> logits;  // (T, V): row t is of token t
  for (std::int64_t index = 0; index < count_windows(range.size(), T, m); ++index) {
    if (options.stop != nullptr && options.stop->load()) return;
    const ScoredWindow window = window_at(index, range.size(), T, m);
    const auto used = std::span(bytes).first(static_cast<std::size_t>(window.end - window.begin));
    data.read(range.begin + window.begin, used);
    std::fill(std::copy(used.begin(), used.end(), tokens.begin()), tokens.end(), 0);  // padding that nobody reads
    Pass pass;
    pass.tokens = tokens.data();
    if (options.expected > 0) logits = network.logits(pass);
    for (std::int64_t at = window.score_begin; at < window.end; ++at) {
      const auto row = static_cast<std::size_t>(at - window.begin);
      ScoredToken scored{options.offset + at, tokens[row], bits[static_cast<std::size_t>(at)], {}};
      if (options.expected > 0) {
        const std::span<const float> of_row(logits.data() + row * static_cast<std::size_t>(V),
                                            static_cast<std::size_t>(V));
        scored.expected = likeliest(of_row, options.expected);
      }
      options.scored(scored);
    }
  }
}

}  // namespace longstride
