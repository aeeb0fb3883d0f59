// The passes of an engine as programs: some rows against the cache, or a piece of one sequence through tiles.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "longstride/config.h"
#include "model/cache_shape.h"
#include "model/tilings.h"
#include "model/weights.h"
#include "ops/buffer.h"
#include "ops/program.h"

namespace longstride {

// The caches of an engine's sequences, and what says where each head's slots lie, in a backend's memory.
class EngineMemory {
 public:
  // Without `allocated` there are no addresses: what is made of it can be compiled and counted.
  EngineMemory(Backend& backend, const ModelConfig& model, const EngineShape& shape, bool allocated);

  const CacheShape& cache() const { return cache_; }
  void copy(std::int64_t from, std::int64_t to);  // all that one sequence keeps
  void clear(std::int64_t sequence);

  Matrix keys(std::int64_t block) const { return store(2 * block, key_channels_); }          // (sequences * slots, Dq)
  Matrix values(std::int64_t block) const { return store(2 * block + 1, value_channels_); }  // (sequences * slots, Dv)
  Array<std::int64_t> first_slot(std::int64_t block) const;                                  // (H)
  Array<std::int32_t> group(std::int64_t block) const;                                       // (H)

 private:
  Matrix store(std::int64_t index, std::int64_t D) const;
  template <class Work>
  void each_store(const Work& work) const;

  Backend& backend_;
  CacheShape cache_;
  EngineShape shape_;
  std::int64_t heads_, key_channels_, value_channels_;
  Buffer first_slot_, group_;        // (blocks of the cycle, H) int64, int32
  Buffer stores_;                    // keys and values of every block in turn; all of them, for large pages
  std::vector<std::int64_t> begin_;  // (2 L + 1) bytes
};

enum class Logits { none, last, all };  // of which rows; of a piece, last: of the last kPieceRows

inline constexpr std::int64_t kPieceRows = 16;  // a piece has a multiple of these: few distinct programs and products

// What the host writes before a run: rows in order; lists as DecodeAttention and CacheRows have them.
struct EngineProgram {
  Program program;
  Array<std::int32_t> tokens, hash_rows;  // (R, recent), (hash orders, R)
  Array<std::int64_t> at;                 // (R)
  Array<std::int32_t> sequence;           // (R); of a piece (1)
  Array<std::int32_t> write, read;
  Array<std::int64_t> write_begin, write_end, read_begin, read_end;  // (R, G)
  Array<std::int64_t> recalled_row, stored_row;
  Array<std::int32_t> recalled_slot, stored_slot;
  Array<std::int64_t> recalled_begin, stored_begin;  // (G + 1)
  Matrix logits;                                     // (rows asked for, V) float32
};

// Tokens before a position that embeddings read.
std::int64_t recent_tokens(const ModelConfig& model);

// Rows of any sequences, one position each, every query against its slots.
EngineProgram rows_program(const ModelConfig& model, const EngineShape& shape, const Weights& weights,
                           const EngineMemory& memory, std::int64_t rows, Logits logits);

// Positions first .. first + rows - 1 of one sequence: what the cache keeps of those before is recalled, queries go
// through the tiles of their patterns, and keys and values are stored afterwards. tilings: of first + rows positions.
// Fewer than kPieceRows rows at the end may lie beyond the sequence: they are read by none before them and not stored.
// The first piece has a Mark in every block, where it may be broken off: the cache held nothing before.
EngineProgram piece_program(const ModelConfig& model, const EngineShape& shape, const Weights& weights,
                            const EngineMemory& memory, const HeadTilings& tilings, std::int64_t first,
                            std::int64_t rows, Logits logits);

}  // namespace longstride
