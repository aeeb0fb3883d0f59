// This drives a decoder through prompts, choices and windows that move on.
#include "sample/generate.h"

#include <algorithm>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"
#include "sample/choose.h"

namespace longstride {
namespace {

constexpr std::int64_t kBytes = 256;

// Tokens from which on reading them at once is worth a network made for it.
constexpr std::int64_t kReadAtOnce = 16;

Choice choice_of(const SampleOptions& options) {
  return {options.temperature, options.top_k, options.top_p, options.min_p};
}

// B sequences of equal length and the window of them that the decoder has read.
class Generation {
 public:
  Generation(Decoder& decoder, const Weights& weights, const SampleOptions& options)
      : decoder_(decoder),
        weights_(weights),
        options_(options),
        sequences_(static_cast<std::size_t>(decoder.shape().sequences), options.prompt),
        before_(sequences_.size()) {
    decoder.restart();
  }

  // Logits of the next token (B, V): reads what was not read yet, moving the window on where it is full.
  // nullptr: told to stop.
  const float* next_logits() {
    const std::int64_t n = decoder_.shape().length;
    if (length() - begin_ >= n) move_on(n);
    if (decoder_.position() == 0 && length() - begin_ >= kReadAtOnce) return stopped() ? nullptr : read_window();
    const float* logits = nullptr;
    while (begin_ + decoder_.position() <= length()) {
      if (stopped()) return nullptr;
      const std::int64_t read = begin_ + decoder_.position() - 1;  // the token before the position to decode
      for (std::size_t b = 0; b < sequences_.size(); ++b) {
        before_[b] = decoder_.position() == 0 ? -1 : sequences_[b][static_cast<std::size_t>(read)];
      }
      logits = decoder_.step(weights_, before_.data());
    }
    return logits;
  }

  void append(std::size_t sequence, std::uint8_t token) { sequences_[sequence].push_back(token); }
  std::vector<std::vector<std::uint8_t>> take() { return std::move(sequences_); }

 private:
  std::int64_t length() const { return static_cast<std::int64_t>(sequences_.front().size()); }
  bool stopped() const { return options_.stop != nullptr && options_.stop->load(); }

  // What the window has so far.
  const float* read_window() {
    window_.clear();
    for (const std::vector<std::uint8_t>& sequence : sequences_)
      window_.insert(window_.end(), sequence.begin() + begin_, sequence.end());
    return decoder_.prefill(weights_, window_.data(), length() - begin_);
  }

  // Afterwards fewer than n tokens lie in the window. A prompt longer than n jumps there at once.
  void move_on(std::int64_t n) {
    const std::int64_t shift = std::max<std::int64_t>(1, n / 2);
    begin_ += ((length() - begin_ - n) / shift + 1) * shift;
    decoder_.restart();
    if (options_.noted && !noted_) {
      options_.noted(
          fmt::format("the sequence has outgrown the context of {} tokens: the window moves on by {} whenever "
                      "it is full, reading again what it keeps",
                      with_commas(n), with_commas(shift)));
    }
    noted_ = true;
  }

  Decoder& decoder_;
  const Weights& weights_;
  const SampleOptions& options_;
  std::vector<std::vector<std::uint8_t>> sequences_;
  std::vector<std::int32_t> before_;  // (B)
  std::vector<std::int32_t> window_;  // (B, tokens of the window)
  std::int64_t begin_ = 0;            // of the window, counted from the sequence's start
  bool noted_ = false;
};

}  // namespace

void check(const SampleOptions& options, const ModelConfig& model) {
  check(choice_of(options));
  const auto at_least = [](const char* option, std::int64_t lowest, std::int64_t got) {
    if (got >= lowest) return;
    throw Error(ErrorKind::invalid_argument,
                fmt::format("--{}: needs a whole number of at least {}, got {}", option, lowest, got));
  };
  at_least("tokens", 0, options.tokens);
  at_least("count", 1, options.count);
  if (model.vocabulary > kBytes) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("sample: the model has {} tokens, bytes are {}", model.vocabulary, kBytes));
  }
  const auto foreign = std::find_if(options.prompt.begin(), options.prompt.end(),
                                    [&](std::uint8_t byte) { return byte >= model.vocabulary; });
  if (foreign != options.prompt.end()) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("prompt: byte {} at {} is outside the model's vocabulary of {}", *foreign,
                            foreign - options.prompt.begin(), model.vocabulary));
  }
}

std::int64_t decoder_length(const SampleOptions& options, const ModelConfig& model) {
  const auto prompt = static_cast<std::int64_t>(options.prompt.size());
  if (prompt >= model.context || options.tokens >= model.context - prompt) return model.context;
  return std::max<std::int64_t>(1, prompt + options.tokens);
}

std::vector<std::vector<std::uint8_t>> sample_tokens(Decoder& decoder, const Weights& weights,
                                                     const SampleOptions& options, std::int64_t first_sequence) {
  check(options, decoder.model());
  const std::int64_t V = decoder.model().vocabulary;
  Generation generation(decoder, weights, options);
  Chooser chooser(choice_of(options));
  const auto prompt = static_cast<std::int64_t>(options.prompt.size());
  for (std::int64_t made = 0; made < options.tokens; ++made) {
    const float* logits = generation.next_logits();
    if (logits == nullptr) break;
    for (std::int64_t b = 0; b < decoder.shape().sequences; ++b) {
      const std::int64_t sequence = first_sequence + b;
      const double uniform = uniform_for(options.seed, sequence, prompt + made);
      const auto token = static_cast<std::uint8_t>(chooser.choose(logits + b * V, V, uniform));
      generation.append(static_cast<std::size_t>(b), token);
      if (options.made) options.made(sequence, token);
    }
  }
  return generation.take();
}

}  // namespace longstride
