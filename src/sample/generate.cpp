// This lets sequences join the engine, step together and leave.
#include "sample/generate.h"

#include <algorithm>
#include <list>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"
#include "sample/choose.h"

namespace longstride {
namespace {

constexpr std::int64_t kBytes = 256;  // tokens beyond them stand for nothing and are never chosen

Choice choice_of(const SampleOptions& options) {
  return {options.temperature, options.top_k, options.top_p, options.min_p};
}

std::int64_t longest_prompt(const SampleOptions& options) {
  std::size_t longest = 0;
  for (const std::vector<std::uint8_t>& prompt : options.prompts) longest = std::max(longest, prompt.size());
  return static_cast<std::int64_t>(longest);
}

Engine::Reading reading_of(const SampleOptions& options) {
  return options.exact ? Engine::Reading::rows : Engine::Reading::tiles;
}

// A sequence and the window of it that the engine has read.
struct Growing {
  std::int64_t number = 0;
  Engine::Sequence place = 0;
  std::vector<std::uint8_t> tokens;
  std::int64_t begin = 0;  // of the window, counted from the sequence's start
  std::int64_t made = 0;
  bool stopped = false;  // by one of options.stops

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  std::vector<std::int32_t> window() const { return {tokens.begin() + begin, tokens.end()}; }
};

class Generation {
 public:
  Generation(Engine& engine, const SampleOptions& options, Sharing& sharing)
      : engine_(engine), options_(options), sharing_(sharing), chooser_(choice_of(options)), joined_(sharing.begin()) {}
  ~Generation() {
    for (const Growing& one : growing_) engine_.leave(one.place);
  }

  Sequences run() {
    while (!sharing_.stopped()) {
      join();
      if (growing_.empty() || !advance()) break;
      leave();
      sharing_.round();
    }
    for (Growing& one : growing_) keep(one);
    return std::move(done_);
  }

 private:
  void join() {
    for (; joined_ < sharing_.end() && static_cast<std::int64_t>(growing_.size()) < engine_.shape().sequences;
         ++joined_) {
      Growing one;
      one.number = joined_;
      one.tokens = options_.prompt(joined_);
      if (options_.tokens == 0) {
        keep(one);
        continue;
      }
      one.place = engine_.join();
      growing_.push_back(std::move(one));
    }
  }

  void keep(Growing& one) {
    const auto index = static_cast<std::size_t>(one.number - sharing_.begin());
    if (done_.size() <= index) done_.resize(index + 1);
    done_[index] = std::move(one.tokens);
  }

  void leave() {
    for (auto one = growing_.begin(); one != growing_.end();) {
      if (one->made < options_.tokens && !one->stopped) {
        ++one;
        continue;
      }
      engine_.leave(one->place);
      keep(*one);
      one = growing_.erase(one);
    }
  }

  // One more token for every sequence. False: told to stop.
  bool advance() {
    const std::int64_t n = engine_.shape().length, V = engine_.model().vocabulary;
    logits_.resize(growing_.size());
    const Growing* read = nullptr;  // the last one that was read in this round
    std::size_t index = 0;
    next_.clear();
    for (Growing& one : growing_) {
      if (one.length() - one.begin >= n) move_on(one, n);
      std::vector<float>& logits = logits_[index++];
      logits.clear();
      if (engine_.position(one.place) > 0) {
        next_.push_back({one.place, one.tokens.back()});
        continue;
      }
      const std::vector<std::int32_t> window = one.window();
      if (read != nullptr && read->window() == window) {
        engine_.copy(read->place, one.place);
      } else {
        const float* found = engine_.read(one.place, window, options_.stop, reading_of(options_));
        if (found == nullptr) return false;
        read_logits_.assign(found, found + V);
        read = &one;
      }
      logits = read_logits_;
    }
    const float* stepped = next_.empty() ? nullptr : engine_.step(next_);
    index = 0;
    for (Growing& one : growing_) {
      const std::vector<float>& logits = logits_[index++];
      append(one, logits.empty() ? stepped : logits.data());
      if (logits.empty()) stepped += V;
    }
    return true;
  }

  void append(Growing& one, const float* logits) {
    const double uniform = uniform_for(options_.seed, one.number, one.length());
    const auto token =
        static_cast<std::uint8_t>(chooser_.choose(logits, std::min(engine_.model().vocabulary, kBytes), uniform));
    one.tokens.push_back(token);
    ++one.made;
    one.stopped = ends_by_stop(options_, one.tokens, one.made);
    if (sharing_.wants_chosen())
      sharing_.chosen(one.number, log_probability(logits, engine_.model().vocabulary, token));
    if (options_.made) options_.made(one.number, token);
  }

  // Afterwards fewer than n tokens lie in the window. A prompt longer than n jumps there at once.
  void move_on(Growing& one, std::int64_t n) {
    const std::int64_t shift = std::max<std::int64_t>(1, n / 2);
    one.begin += ((one.length() - one.begin - n) / shift + 1) * shift;
    engine_.restart(one.place);
    if (options_.noted && !noted_) {
      options_.noted(
          fmt::format("the sequence has outgrown the context of {} tokens: the window moves on by {} whenever "
                      "it is full, reading again what it keeps",
                      with_commas(n), with_commas(shift)));
    }
    noted_ = true;
  }

  Engine& engine_;
  const SampleOptions& options_;
  Sharing& sharing_;
  Chooser chooser_;
  std::list<Growing> growing_;
  std::int64_t joined_;  // the next one's number
  std::vector<Engine::Next> next_;
  std::vector<std::vector<float>> logits_;  // of those that were read in this round; empty: they step
  std::vector<float> read_logits_;
  Sequences done_;
  bool noted_ = false;
};

}  // namespace

void check(const SampleOptions& options, const ModelConfig& model) {
  check(choice_of(options));
  const auto at_least = [](const char* option, std::int64_t lowest, std::int64_t got) {
    if (got >= lowest) return;
    throw_invalid(fmt::format("--{}: needs a whole number of at least {}, got {}", option, lowest, got));
  };
  at_least("tokens", 0, options.tokens);
  at_least("count", 1, options.count);
  if (std::any_of(options.stops.begin(), options.stops.end(), [](const auto& stop) { return stop.empty(); }))
    throw_invalid("--stop: needs at least one byte, got none");
  for (const std::vector<std::uint8_t>& prompt : options.prompts) {
    const auto foreign =
        std::find_if(prompt.begin(), prompt.end(), [&](std::uint8_t byte) { return byte >= model.vocabulary; });
    if (foreign == prompt.end()) continue;
    throw_invalid(fmt::format("prompt: byte {} at {} is outside the model's vocabulary of {}", *foreign,
                              foreign - prompt.begin(), model.vocabulary));
  }
}

std::int64_t engine_length(const SampleOptions& options, const ModelConfig& model) {
  const std::int64_t prompt = longest_prompt(options);
  if (prompt >= model.context || options.tokens >= model.context - prompt) return model.context;
  return std::max<std::int64_t>(1, prompt + options.tokens);
}

bool ends_by_stop(const SampleOptions& options, std::span<const std::uint8_t> tokens, std::int64_t made) {
  return std::any_of(options.stops.begin(), options.stops.end(), [&](const auto& stop) {
    return made >= std::ssize(stop) && std::equal(stop.rbegin(), stop.rend(), tokens.rbegin());
  });
}

bool was_interrupted(const SampleOptions& options, const Sequences& sequences) {
  if (std::ssize(sequences) < options.count) return true;
  for (std::int64_t at = 0; at < options.count; ++at) {
    const std::vector<std::uint8_t>& tokens = sequences[static_cast<std::size_t>(at)];
    const std::int64_t made = std::ssize(tokens) - std::ssize(options.prompt(at));
    if (made < options.tokens && !ends_by_stop(options, tokens, made)) return true;
  }
  return false;
}

std::uint8_t choose_token(std::span<const float> logits, const SampleOptions& options, std::int64_t position,
                          std::int64_t sequence) {
  if (logits.empty()) throw_invalid("choose_token: needs the logits of a token, got none");
  return static_cast<std::uint8_t>(
      Chooser(choice_of(options))
          .choose(logits.data(), std::min(std::ssize(logits), kBytes), uniform_for(options.seed, sequence, position)));
}

Sequences sample_tokens(Engine& engine, const SampleOptions& options) {
  Sharing alone(options, world_of_one());
  return sample_tokens(engine, options, alone);
}

Sequences sample_tokens(Engine& engine, const SampleOptions& options, Sharing& sharing) {
  check(options, engine.model());
  return Generation(engine, options, sharing).run();
}

}  // namespace longstride
