// From logits to a token. Everything in double, in this order (the one of Hugging Face's generate):
//   1. temperature 0: the highest logit, the lowest index among equals; nothing else applies.
//   2. Tokens are ranked by logit, equals by index; p = softmax(logit / temperature).
//   3. top_k keeps the first k ranks.
//   4. top_p keeps the fewest first ranks whose share of what 3. kept reaches top_p; at least one.
//   5. min_p keeps tokens with p >= min_p * the highest p.
//   6. Of what is left, the first rank at which the running sum of p reaches uniform * the whole sum.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/sample.h"

namespace longstride {

struct Choice {
  double temperature = 1;  // >= 0
  std::int64_t top_k = 0;  // 0: off
  double top_p = 1;        // (0, 1]; 1: off
  double min_p = 0;        // [0, 1]; 0: off
};

// Throws invalid_argument naming the option that is out of range.
void check(const Choice& choice);

// ln softmax(logits) of one token, in double. logits: (V).
double log_probability(const float* logits, std::int64_t V, std::int32_t token);

// Uniform in (0, 1], a function of these three alone. position: counted from the sequence's start, prompt included.
double uniform_for(std::int64_t seed, std::int64_t sequence, std::int64_t position);

// Keeps its room between calls, so that a loop allocates nothing.
class Chooser {
 public:
  explicit Chooser(const Choice& choice) : choice_(choice) { check(choice); }

  // logits: (V). uniform in (0, 1]. Returns an index in [0, V). Error diverged where a logit is not finite.
  std::int32_t choose(const float* logits, std::int64_t V, double uniform);

 private:
  Choice choice_;
  std::vector<std::int32_t> ranked_;  // token of each rank
  std::vector<double> p_;             // of each rank, not normalised: the highest is 1
};

}  // namespace longstride
