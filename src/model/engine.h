// The network of docs/model.md, section 2, a token at a time (section 5), for sequences that join and leave: keys and
// values of earlier tokens are kept where each head's pattern needs them (pattern/cache.h), so that work per token and
// head is |S_i| and memory follows the pattern.
//
// Rules: the logits equal Network::logits at every position, to float32 rounding; and a sequence's logits are the same
// bits whatever other sequences are decoded beside it, and whether its tokens were read one at a time or many.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "longstride/config.h"
#include "model/cache_shape.h"
#include "model/weights.h"
#include "ops/buffer.h"

namespace longstride {

class Engine {
 public:
  using Sequence = std::int32_t;  // in [0, shape.sequences)

  // weights stay where they are while this lives. Errors: invalid_argument where the shape cannot be, exhausted.
  Engine(Backend& backend, const ModelConfig& model, const EngineShape& shape, const Weights& weights);

  Sequence join();                   // a sequence of no tokens. Error invalid_argument where there is no room
  void leave(Sequence sequence);     // its place is free
  void restart(Sequence sequence);   // forgets its tokens, keeps its place
  void copy(Sequence from, Sequence to);  // `to` goes on from all that `from` has read

  std::int64_t position(Sequence sequence) const;  // positions decoded so far

  struct Next {
    Sequence sequence = 0;
    std::int32_t before = -1;  // the token before the position to decode; -1 at position 0 and only there
  };
  // Decodes the next position of each of these, each once. Returns the logits of the token there, (next.size(), V) in
  // host memory, valid until the next call. Error invalid_argument beyond shape().length, or where a token is none.
  const float* step(std::span<const Next> next);

  // Reads tokens that follow those read so far: decodes a position after each, and the first one where there is none
  // yet. Returns the logits of the last position decoded, (V), as step does; nullptr where told to stop, between
  // kReadRows positions: then the sequence stands after what was read. The bits of step after step.
  const float* read(Sequence sequence, std::span<const std::int32_t> tokens,
                    const std::atomic<bool>* stop = nullptr);
  static constexpr std::int64_t kReadRows = 64;

  // Goes on at `position` as if all before it had been decoded: zeros where it lies ahead of position(), and what was
  // overwritten since is not brought back. For measuring steps, whose time depends on no value.
  void assume(Sequence sequence, std::int64_t position);

  const EngineShape& shape() const { return shape_; }
  const ModelConfig& model() const { return model_; }

  // What an engine of this shape would hold, before it is made, by name ("decoder cache", ...).
  static std::vector<std::pair<std::string, std::int64_t>> memory(Backend& backend, const ModelConfig& model,
                                                                  const EngineShape& shape);

 private:
  enum class Logits { none, last, all };  // of which rows
  struct Place {
    bool taken = false;
    std::int64_t position = 0;
    std::vector<std::int32_t> recent;  // tokens before `position` that embeddings read, the newest last; -1: none
  };
  struct Compiled {
    Array<std::int32_t> tokens, hash_rows, sequence, write, read;
    Array<std::int64_t> at, write_begin, write_end, read_begin, read_end;
    Matrix logits;
    std::unique_ptr<Executable> executable;
  };
  struct Lists {  // of the rows at hand, host
    std::vector<std::int32_t> write, read;
    std::vector<std::int64_t> write_begin, write_end, read_begin, read_end;
  };

  Compiled compile(std::int64_t rows, Logits logits) const;
  Compiled& program(std::int64_t rows, Logits logits);
  const float* run(std::span<const Next> next, Logits logits);
  void check_next(std::span<const Next> next) const;
  void load(const Compiled& to, std::span<const Next> next);
  void list_slots(std::span<const Next> next);
  Place& place(Sequence sequence);
  const Place& place(Sequence sequence) const;
  std::int64_t most_rows() const;
  template <class T>
  void upload(const Compiled& to, const Array<T>& view, const std::vector<T>& values);

  Backend& backend_;
  ModelConfig model_;
  EngineShape shape_;
  Weights weights_;
  CacheShape cache_;
  std::int64_t recent_ = 0;           // tokens before a position that embeddings read
  Buffer first_slot_, group_;         // (blocks of the cycle, H) int64, int32
  std::vector<Buffer> keys_, values_;  // (L) of (sequences * slots, Dq), (sequences * slots, Dv) A
  Buffer arena_;
  std::map<std::pair<std::int64_t, Logits>, Compiled> programs_;
  std::vector<Place> places_;
  std::vector<std::int32_t> tokens_, hash_rows_, sequence_;  // host, of the rows at hand
  std::vector<std::int64_t> at_;
  Lists lists_;
  std::vector<float> logits_;
};

}  // namespace longstride
