// What an engine keeps of keys and values (docs/model.md, section 5), from configuration and shape alone.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/config.h"
#include "ops/tensor.h"
#include "pattern/cache.h"

namespace longstride {

struct EngineShape {
  std::int64_t sequences = 1;  // decoded side by side at most, 1 to kMostSequences
  std::int64_t length = 0;     // positions of each at most, at most the model's context
  DType type = DType::float32;
};

// A step of so many rows reads the weights once (cpu/few_rows.h); beyond, nothing is gained.
inline constexpr std::int64_t kMostSequences = 64;

struct CacheShape {
  // Error invalid_argument where the shape cannot be.
  CacheShape(const ModelConfig& model, const EngineShape& shape);

  // Distinct patterns of the model, resolved; heads of one pattern share slot lists, whatever their block.
  std::vector<Pattern> patterns;
  std::vector<CacheLayout> layouts;               // one a pattern
  std::vector<std::vector<std::int32_t>> groups;  // (blocks of the layout's cycle, H): index into patterns
  std::vector<std::int64_t> slots;                // (blocks of the cycle): of all heads of a block, of one sequence
  std::int64_t most_writes = 0;                   // slots that one position is written to, over all patterns
  std::int64_t most_reads = 0;                    // slots that one query reads, over all patterns
  std::int64_t bytes = 0;                         // of keys and values, all layers and sequences

  std::int64_t slots_of(std::int64_t block) const { return slots[static_cast<std::size_t>(block) % slots.size()]; }
};

}  // namespace longstride
