// Sizes that a training run chooses for itself, in one place, because the plan must know them too.
#pragma once

#include <cstdint>

#include "longstride/config.h"
#include "model/engine.h"

namespace longstride {

// A sample made while training, long enough to look at or to listen to. It takes at most kSampleShare of the time
// between two; what is not made by then is left out.
inline constexpr std::int64_t kSampleBytes = 512;  // of text
inline constexpr std::int64_t kSamplePictures = 4;
inline constexpr std::int64_t kSampleCacheBytes = 256 << 20;  // fewer pictures where their caches would hold more
inline constexpr std::int64_t kSampleSeconds = 4;             // of sound
inline constexpr double kSampleShare = 0.1;

inline bool samples(const Config& config) { return config.training.sample_minutes > 0; }

// Of the engine that makes them: one context at most, pictures whole.
EngineShape engine_shape(const Config& config, DType type);

// Memory of the program beside its buffers: code, libraries, the kernels that oneDNN writes. Measured: the resident
// size of runs whose buffers are small, Linux x86-64.
inline constexpr std::int64_t kProgramBytes = 32 << 20;
// The same of the library that carries bytes between processes: Open MPI 4.1, of which a part is memory that the
// processes of one machine share.
inline constexpr std::int64_t kCarrierBytes = 24 << 20;

// With a card, which has its own code and what its operations begin with beside a run's buffers: the kernels that were
// used, streams, small numbers. On the host the driver and cuBLASLt take more than kProgramBytes. Both are estimates:
// they were not measured on a card yet.
inline constexpr std::int64_t kCardProgramBytes = 64 << 20;
inline constexpr std::int64_t kCardHostBytes = 400 << 20;
// An estimate too: of the card's memory, what its carrier has for what is on its way to other cards.
inline constexpr std::int64_t kCardCarrierBytes = 512 << 20;

}  // namespace longstride
