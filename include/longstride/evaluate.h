// Bits per byte of a model on data, under a stated protocol (docs/model.md, section 4).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "longstride/config.h"
#include "longstride/origin.h"

namespace longstride {
class World;  // the library's own: longstride/processes.h makes one
}

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// A token and what a model gave to it.
struct LikelyToken {
  std::int32_t token = 0;
  double probability = 0;
};

// One token that was scored.
struct ScoredToken {
  std::int64_t at = 0;  // in the split, the offset counted
  std::int32_t token = 0;
  double bits = 0;                    // -log2 p; those of all tokens add up to the evaluation's
  std::vector<LikelyToken> expected;  // what the model held likeliest here, in order
};

struct EvaluateOptions {
  std::string run;                  // run directory, checkpoint directory or .safetensors file
  std::string checkpoint = "best";  // best | latest | a step; for a run directory
  std::vector<std::string> paths;
  std::string split = "all";     // train | valid | test | all
  std::int64_t offset = 0;       // bytes of the split skipped
  std::int64_t bytes = -1;       // bytes scored at most; -1: all
  std::int64_t min_context = 0;  // m
  Precision precision = Precision::automatic;
  Device device = Device::automatic;
  std::string cache;                                        // folder of decoded data; empty: the run's own
  std::function<void(double share, double bits)> progress;  // may be empty
  std::function<void(const std::string& sentence)> noted;   // may be empty
  const std::atomic<bool>* stop = nullptr;
  // Hears of every scored token in order, once all are scored; may be empty. expected: of how many of the likeliest
  // tokens; above 0 everything is computed a second time.
  std::function<void(const ScoredToken&)> scored;
  std::int64_t expected = 0;
  // Where several processes evaluate together each calls evaluate() with the same arguments and its own world: they
  // share the windows, and all get the figures of one process. The first alone tells of progress. None: this process
  // alone.
  World* world = nullptr;
};

struct Evaluation {
  double bits_per_byte = 0;
  double standard_error = 0;  // of the mean, windows as independent samples; -1: fewer than two windows
  std::int64_t tokens_scored = 0;
  std::int64_t context = 0;
  std::int64_t min_context = 0;
  std::string kind;          // text | image | sound
  std::int64_t windows = 0;  // scored; of pictures each is one
  std::string data;          // what was scored, in words
  std::string data_sha256;   // of the bytes scored
  std::int64_t offset = 0;
  std::string checkpoint;
  std::string checkpoint_sha256;
  std::int64_t step = 0;
  std::string precision;
  Origin origin;                     // of this evaluation
  std::optional<Origin> trained_by;  // of the checkpoint; none: it does not say
  std::string split;                 // train | valid | test | all
  double seconds = 0;
  bool interrupted = false;  // told to stop: the figures are of the bytes before
};

Evaluation evaluate(const EvaluateOptions& options);

}  // namespace longstride
#pragma GCC visibility pop
