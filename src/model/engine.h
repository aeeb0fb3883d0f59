// The network of docs/model.md, section 2, a token at a time (section 5), for sequences that join and leave: keys and
// values of earlier tokens are kept where each head's pattern needs them (pattern/cache.h), so that work per token and
// head is |S_i| and memory follows the pattern.
//
// Rules: the logits equal Network::logits at every position, to float32 rounding; and a sequence's logits are the same
// bits whatever other sequences are decoded beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "longstride/config.h"
#include "model/engine_program.h"

namespace longstride {

// Where a pass fails for want of memory (Error exhausted) its sequences have forgotten their tokens, as after restart.
class Engine {
 public:
  using Sequence = std::int32_t;  // in [0, shape.sequences)

  // weights stay where they are while this lives. Errors: invalid_argument where the shape cannot be, exhausted.
  Engine(Backend& backend, const ModelConfig& model, const EngineShape& shape, const Weights& weights);

  Sequence join();                        // a sequence of no tokens. Error invalid_argument where there is no room
  void leave(Sequence sequence);          // its place is free
  void restart(Sequence sequence);        // forgets its tokens, keeps its place
  void copy(Sequence from, Sequence to);  // `to` goes on from all that `from` has read

  std::int64_t position(Sequence sequence) const;  // positions decoded so far

  struct Next {
    Sequence sequence = 0;
    std::int32_t before = -1;  // the token before the position to decode; -1 at position 0 and only there
  };
  // Decodes the next position of each of these, each once. Returns the logits of the token there, (next.size(), V) in
  // host memory, valid until the next call. Error invalid_argument beyond shape().length, or where a token is none.
  const float* step(std::span<const Next> next);

  // How read() takes many tokens. rows: the bits of step after step, kReadRows positions at a time against the cache.
  // tiles: as training reads them, long pieces through the tiles of the patterns, at training's speed; sums are made
  // in another order, so that logits differ by rounding (docs/sampling.md has figures). kFewestInTiles positions or
  // fewer that are left are read as rows.
  enum class Reading { rows, tiles };
  static constexpr std::int64_t kReadRows = 64, kFewestInTiles = 256;

  // Reads tokens that follow those read so far: decodes a position after each, and the first one where there is none
  // yet. Returns the logits of the last position decoded, (V), as step does; nullptr where told to stop: then the
  // sequence stands after the pieces that were read, which may be none.
  const float* read(Sequence sequence, std::span<const std::int32_t> tokens, const std::atomic<bool>* stop = nullptr,
                    Reading reading = Reading::rows);

  // Goes on at `position` as if all before it had been decoded: zeros where it lies ahead of position(), and what was
  // overwritten since is not brought back. For measuring steps, whose time depends on no value.
  void assume(Sequence sequence, std::int64_t position);

  const EngineShape& shape() const { return shape_; }
  const ModelConfig& model() const { return model_; }

  // What an engine of this shape would hold, before it is made, by name ("decoder_cache", ...); pieces of long prompts
  // take more while the engine lives.
  static std::vector<std::pair<std::string, std::int64_t>> memory(Backend& backend, const ModelConfig& model,
                                                                  const EngineShape& shape);

 private:
  struct Place {
    bool taken = false;
    std::int64_t position = 0;
    std::vector<std::int32_t> recent;  // tokens before `position` that embeddings read, the newest last; -1: none
  };
  struct Compiled {
    EngineProgram made;  // its program has gone into the executable, which binds the views
    std::unique_ptr<HeadTilings> tilings;
    std::shared_ptr<Executable> executable;
  };

  Compiled compile(EngineProgram made);
  Compiled& rows_of(std::int64_t rows, Logits logits);
  Compiled& piece_of(std::int64_t first, std::int64_t rows, Logits logits);
  const float* run_rows(std::span<const Next> next, Logits logits);
  bool run(const Compiled& program, std::span<const Next> next, const std::atomic<bool>* stop);  // false: broken off
  // The same of one sequence. Logits of the last row that was asked for are in logits_.
  bool run_piece(std::span<const Next> next, Logits logits, const std::atomic<bool>* stop);
  const float* downloaded(const Compiled& from, std::int64_t first, std::int64_t rows);
  void check_next(std::span<const Next> next) const;
  void take_tokens(const Compiled& to, std::span<const Next> next, std::int64_t rows);
  void list_slots(const Compiled& to);
  void list_held(const Compiled& to, std::int64_t first, std::int64_t end, bool recall);
  Place& at(Sequence sequence);
  const Place& at(Sequence sequence) const;
  std::int64_t most_rows() const;
  template <class T>
  void upload(const Compiled& to, const Array<T>& view, const std::vector<T>& values);

  Backend& backend_;
  ModelConfig model_;
  EngineShape shape_;
  Weights weights_;
  EngineMemory memory_;
  ProgramArena arena_;
  std::map<std::pair<std::int64_t, Logits>, Compiled> rows_;
  std::map<std::tuple<std::int64_t, std::int64_t, Logits>, Compiled> pieces_;  // by first position and rows
  std::vector<Place> places_;
  std::vector<std::int64_t> positions_;  // host, of the rows at hand
  std::vector<float> logits_;
};

}  // namespace longstride
