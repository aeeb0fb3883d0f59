// Sampling: one token at a time, with a cache that follows the pattern (docs/model.md, section 5).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "longstride/config.h"

namespace longstride {
class World;  // the library's own: longstride/processes.h makes one
}

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct SampleOptions {
  std::string run;
  std::string checkpoint = "best";
  std::int64_t tokens = 256;  // new ones
  double temperature = 1;     // 0: greedy, the lowest index among equals
  std::int64_t top_k = 0;     // 0: off
  double top_p = 1;
  double min_p = 0;
  std::int64_t seed = 1;
  // float32: a greedy sample is the argmax of the model as it is stored. bfloat16 is faster and may choose another
  // token where two are nearly as likely. automatic: bfloat16 where the machine multiplies it natively.
  Precision precision = Precision::float32;
  Device device = Device::automatic;
  // Prompts of 256 tokens and more are read in long pieces, as training reads, at its speed; their logits then differ
  // from those of reading token by token by rounding. true: the bits of token by token, which takes two to three times
  // as long.
  bool exact = false;
  std::int64_t count = 1;  // sequences, made side by side as far as memory goes
  // Sequence i begins with prompts[i mod their number]; none: with nothing.
  std::vector<std::vector<std::uint8_t>> prompts;
  const std::vector<std::uint8_t>& prompt(std::int64_t sequence) const {
    static const std::vector<std::uint8_t> nothing;
    return prompts.empty() ? nothing : prompts[static_cast<std::size_t>(sequence) % prompts.size()];
  }
  // A sequence ends as soon as what was made for it ends with one of these, which stays in it; none: by `tokens` alone.
  std::vector<std::vector<std::uint8_t>> stops;
  // Called with each new token of each sequence, in order of its positions; may be empty. Of the sequences of other
  // processes it is called at the end.
  std::function<void(std::int64_t sequence, std::uint8_t token)> made;
  // Called before it with the token's ln p, p being the model's own: at temperature 1, nothing cut; may be empty.
  std::function<void(std::int64_t sequence, double log_probability)> chosen;
  std::function<void(const std::string& sentence)> noted;
  const std::atomic<bool>* stop = nullptr;
  // Where several processes sample together each calls sample() with the same arguments and its own world: they share
  // the sequences, the first ceil(count / processes) of them are the first one's, and all get those of one process.
  // Who has none waits, without a model. None: this process alone.
  World* world = nullptr;
};

// (count) sequences, prompts included; fewer, shorter or none where it was told to stop.
std::vector<std::vector<std::uint8_t>> sample(const SampleOptions& options);

// Whether a sequence, of which the last `made` bytes were made, ends with one of options.stops.
bool ends_by_stop(const SampleOptions& options, std::span<const std::uint8_t> tokens, std::int64_t made);

// Whether they are fewer or shorter than was asked for: sample(options) was told to stop.
bool was_interrupted(const SampleOptions& options, const std::vector<std::vector<std::uint8_t>>& sequences);

// The byte that sample() chooses by these logits, (V), for a sequence's token `position`, counted from its beginning:
// for programs that decode by hand (Decoder, longstride/model.h). temperature, top_k, top_p, min_p and seed are looked
// at. Errors: invalid_argument where one of them cannot be or there are no logits, diverged where a logit is not
// finite.
std::uint8_t choose_token(std::span<const float> logits, const SampleOptions& options, std::int64_t position,
                          std::int64_t sequence = 0);

}  // namespace longstride
#pragma GCC visibility pop
