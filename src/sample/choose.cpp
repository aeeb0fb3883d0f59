// This ranks and cuts the probabilities of a token, and draws one by Philox.
#include "sample/choose.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "longstride/error.h"
#include "ops/philox.h"

namespace longstride {
namespace {

[[noreturn]] void fail(const char* option, const char* needs, double got) {
  throw_invalid(fmt::format("--{}: needs {}, got {}", option, needs, got));
}

}  // namespace

void check(const Choice& choice) {  // each written so that NaN fails
  if (!(choice.temperature >= 0 && std::isfinite(choice.temperature))) {
    fail("temperature", "a number of at least 0", choice.temperature);
  }
  if (choice.top_k < 0) {
    throw_invalid(fmt::format("--top-k: needs a whole number of at least 0 (0: off), got {}", choice.top_k));
  }
  if (!(choice.top_p > 0 && choice.top_p <= 1)) fail("top-p", "a number in (0, 1] (1: off)", choice.top_p);
  if (!(choice.min_p >= 0 && choice.min_p <= 1)) fail("min-p", "a number in [0, 1] (0: off)", choice.min_p);
}

double log_probability(const float* logits, std::int64_t V, std::int32_t token) {
  const double highest = *std::max_element(logits, logits + V);
  double sum = 0;
  for (std::int64_t other = 0; other < V; ++other) sum += std::exp(logits[other] - highest);
  return logits[token] - highest - std::log(sum);
}

double uniform_for(std::int64_t seed, std::int64_t sequence, std::int64_t position) {
  const auto at = static_cast<std::uint64_t>(position);
  const PhiloxBlock counter = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32),
                               static_cast<std::uint32_t>(sequence), 0};
  return uniform_double(philox(counter, philox_key(seed, Purpose::sample))[0]);
}

std::int32_t Chooser::choose(const float* logits, std::int64_t V, double uniform) {
  for (std::int64_t token = 0; token < V; ++token) {
    if (!std::isfinite(logits[token])) {
      throw Error(
          ErrorKind::diverged,
          fmt::format("sample: the logit of token {} is {}; the model's values overflow, another checkpoint may "
                      "be sound",
                      token, logits[token]));
    }
  }
  if (choice_.temperature == 0) return static_cast<std::int32_t>(std::max_element(logits, logits + V) - logits);
  ranked_.resize(static_cast<std::size_t>(V));
  std::iota(ranked_.begin(), ranked_.end(), 0);
  std::stable_sort(ranked_.begin(), ranked_.end(),
                   [&](std::int32_t a, std::int32_t b) { return logits[a] > logits[b]; });
  if (choice_.top_k > 0) ranked_.resize(static_cast<std::size_t>(std::min(V, choice_.top_k)));
  p_.clear();
  const double highest = logits[ranked_.front()];
  // The difference first: a temperature near 0 may take it to minus infinity, whose exp is 0, but never to NaN.
  for (const std::int32_t token : ranked_) p_.push_back(std::exp((logits[token] - highest) / choice_.temperature));
  if (choice_.top_p < 1) {
    const double enough = choice_.top_p * std::accumulate(p_.begin(), p_.end(), 0.0);
    std::size_t kept = 0;
    for (double sum = 0; kept < p_.size() && sum < enough; ++kept) sum += p_[kept];
    p_.resize(std::max<std::size_t>(kept, 1));
  }
  while (p_.size() > 1 && p_.back() < choice_.min_p) p_.pop_back();
  const double target = uniform * std::accumulate(p_.begin(), p_.end(), 0.0);
  double sum = 0;
  for (std::size_t rank = 0; rank < p_.size(); ++rank) {
    sum += p_[rank];
    if (sum >= target) return ranked_[rank];
  }
  return ranked_[p_.size() - 1];
}

}  // namespace longstride
