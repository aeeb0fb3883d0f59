// A model that one holds: read once, then asked for logits, scores, samples and decodings as often as one likes.
// docs/library.md shows a whole program.
//
// Tokens are whole numbers in [0, V), V = config().model.vocabulary, bytes where V is 256; n = config().model.context
// is how many a model knows at once. Logits are float32 and not normalised: p = softmax(logits of a row).
//
// Threads: a Model, with the Decoders, Sequences and AttentionViews that were made from it, serves one thread at a
// time; two threads may use two Models at the same time, also of one file, and get the bits that each gets alone. Each
// call computes on as many threads as set_threads (longstride/device.h) says, which nothing here sets.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "longstride/config.h"
#include "longstride/evaluate.h"
#include "longstride/sample.h"

namespace longstride {
struct HeldModel;  // the library's own
}  // namespace longstride

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct ModelOptions {
  std::string run;                  // run directory, checkpoint directory or .safetensors file
  std::string checkpoint = "best";  // best | latest | a step; for a run directory
  Device device = Device::automatic;
  // Of logits, scores and decodings; samples and evaluations say their own. automatic: what the run trained with.
  Precision precision = Precision::float32;
};

struct TokenScore {
  std::vector<float> bits;     // (tokens) -log2 p(token | those before it in its window); fewer where told to stop
  double bits_per_token = 0;   // their mean; 0 where there are none
  double standard_error = -1;  // of the mean, windows as independent samples; -1: fewer than two windows
  std::int64_t windows = 0;
};

class Model {
 public:
  // Reads the whole checkpoint, verified; the file is not needed afterwards. Memory: 4 bytes a parameter, and 2 more
  // from the first time that something is computed in bfloat16. Errors: invalid_argument where a path or the
  // checkpoint's name is wrong, corrupt_data where the file is damaged, unavailable where this build lacks the device,
  // exhausted where memory is missing.
  explicit Model(const ModelOptions& options);
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const Config& config() const;
  const std::string& path() const;  // of model.safetensors
  std::int64_t step() const;
  std::int64_t parameters() const;
  Precision precision() const;  // float32 or bfloat16: what logits, scores and decodings are computed in
  std::string device() const;   // "cpu"

  // (T + 1, V), row-major, of T tokens in one pass: row t is of the token that follows the first t of them, so row 0
  // is of a text's first token. Error invalid_argument where there are more than n - 1 tokens or one is outside the
  // vocabulary.
  std::vector<float> logits(std::span<const std::int32_t> tokens);

  // The last row of logits(tokens) alone, (V), to float32 rounding: the bits of a Decoder. Errors: as logits; exhausted
  // where `stop` was set before the tokens were read.
  std::vector<float> next_logits(std::span<const std::int32_t> tokens, const std::atomic<bool>* stop = nullptr);

  // Bits of each token under the protocol of evaluate(): windows of n tokens, each but the first with at least
  // `min_context` before the first token that it scores. Any number of tokens, the same figures as evaluate() in the
  // same precision. Where `stop` is set the score is of the tokens before. Errors: invalid_argument where there are no
  // tokens, one is outside the vocabulary or min_context is not in [0, n); diverged where a loss is not finite.
  TokenScore score(std::span<const std::int32_t> tokens, std::int64_t min_context = 0,
                   const std::atomic<bool>* stop = nullptr);

  // What evaluate(options) and sample(options) return, errors included; run, checkpoint and device are not looked at.
  Evaluation evaluate(const EvaluateOptions& options);
  std::vector<std::vector<std::uint8_t>> sample(const SampleOptions& options);

 private:
  friend class AttentionView;  // longstride/attention.h
  friend class Decoder;
  std::shared_ptr<HeldModel> held_;
};

struct DecoderOptions {
  std::int64_t sequences = 1;  // that are in it at the same time at most, 1 to 64
  // Tokens that a sequence may have, the last one predicted among them: it reads at most length - 1. 0: the context.
  std::int64_t length = 0;
  // Sequences read many tokens to the bits of reading them one at a time. Without it 256 and more of them go through
  // the tiles of the patterns, at training's speed, and logits differ by rounding (docs/sampling.md has figures).
  bool exact = false;
};

// Decoding by hand: sequences join, read tokens, step together and leave; their keys and values are kept where each
// head's pattern needs them. A sequence's logits are the same bits whatever is decoded beside it; where `exact` is set,
// also whether its tokens were read one at a time or many.
//
//   Decoder decoder(model, {.sequences = 2});
//   Decoder::Sequence a = decoder.join(), b = decoder.join();
//   a.read(prompt), b.read(other);                       // of different lengths
//   decoder.step({{&a, token}, {&b, other_token}});     // (2, V): of what follows
class Decoder {
 private:
  struct State;

 public:
  // A place in a Decoder, given back when this goes; it keeps the Decoder and the model alive.
  class Sequence {
   public:
    ~Sequence();
    Sequence(Sequence&&) noexcept;
    Sequence& operator=(Sequence&&) noexcept;

    std::int64_t tokens_read() const;

    // Reads tokens that follow those read so far. Returns (V), of the token that comes next, valid until the Decoder
    // is next asked for logits; read({}) of a sequence that was asked for nothing yet: of its first token. Empty where
    // `stop` was set meanwhile: tokens_read() says how far it came, and it may go on. It is looked at every 64 tokens
    // where `exact` is set or few are read, else between blocks of the first 16,384 tokens, of which none count as read
    // then, and every 4,096 tokens afterwards. Error invalid_argument where there is nothing to read, too much, or a
    // token outside the vocabulary; exhausted where memory for a long piece is missing: the sequence has then forgotten
    // its tokens.
    std::span<const float> read(std::span<const std::int32_t> tokens, const std::atomic<bool>* stop = nullptr);

    void restart();     // forgets its tokens, keeps its place
    Sequence fork();    // another one that goes on from all that this has read. Error invalid_argument: no room
    void leave();       // gives the place back now; nothing but assignment may follow
    bool left() const;  // it has left, or was moved from

   private:
    friend class Decoder;
    Sequence(std::shared_ptr<State> state, std::int32_t place);
    State& state() const;
    std::shared_ptr<State> state_;  // none: it has left
    std::int32_t place_ = 0;
  };

  // Takes the memory of all sequences' keys and values. Errors: invalid_argument where the options cannot be,
  // exhausted.
  explicit Decoder(Model& model, const DecoderOptions& options = {});
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  std::int64_t length() const;      // as in the options, 0 resolved
  std::int64_t vocabulary() const;  // V

  Sequence join();  // of no tokens. Error invalid_argument where there is no room

  struct Fed {
    Sequence* sequence = nullptr;
    std::int32_t token = 0;  // that follows those it has read
  };
  // Every sequence reads its token, all of them in one pass. Returns (fed.size(), V), in the order of `fed`: of what
  // comes next, valid until the Decoder is next asked for logits. Error invalid_argument where none is fed, one twice
  // or one of another Decoder, one is full, or a token is outside the vocabulary; then none has read anything.
  std::span<const float> step(const std::vector<Fed>& fed);

 private:
  std::shared_ptr<State> state_;
};

}  // namespace longstride
#pragma GCC visibility pop
