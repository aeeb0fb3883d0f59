// Training: from files to a run directory, resumable to the same bits.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "longstride/config.h"
#include "longstride/origin.h"
#include "longstride/plan.h"

namespace longstride {
class World;  // the library's own: longstride/processes.h makes one
}

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct StepReport {
  std::int64_t step = 0;    // steps done, this one included
  std::int64_t steps = 0;   // planned; by the clock: an estimate
  double share = 0;         // of the run that is done, [0, 1]
  std::int64_t tokens = 0;  // seen so far
  double epoch = 0;
  double loss_bits = 0;
  double smoothed_bits = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double step_s = 0;
  double load_s = 0;      // of step_s, spent waiting for data
  double exchange_s = 0;  // of step_s, spent waiting for other processes
  double tokens_per_s = 0;
  double utilisation = 0;  // needed multiply-adds / time / measured peak
  double time_left_s = 0;
  std::int64_t memory_bytes = 0;
  bool skipped = false;    // the step's loss or gradient was not finite
  std::string not_finite;  // then: what was so first, "the keys of attention in layer 3"
};

// The checkpoint that a run goes on from.
struct ResumeReport {
  std::int64_t step = 0;
  std::string path;       // its folder
  double elapsed_s = 0;   // of training until then
  bool finished = false;  // nothing is left to be done
};

struct SampleReport {
  std::int64_t step = 0;
  std::string path;  // of its file
  std::string text;  // its bytes where the model writes text, else empty
  double share = 1;  // of its length that was made in the time that samples may take
};

// What a program may show while training runs. Called from the training thread; must not throw.
struct TrainObserver {
  std::function<void(const ResumeReport&)> resumed;  // before `started`; not where a run has no checkpoint yet
  std::function<void(const Config& resolved, const Plan& plan, const std::string& data)> started;
  std::function<void(const StepReport&)> stepped;
  std::function<void(std::int64_t step, double bits, bool best)> validated;
  std::function<void(std::int64_t step, const std::string& path)> saved;
  std::function<void(const SampleReport&)> sampled;
  std::function<void(const std::string& sentence)> noted;
};

struct TrainResult {
  std::int64_t step = 0;
  bool interrupted = false;
  bool stopped_early = false;  // training.patience ended it
  double valid_bits = -1;      // -1: no such part
  double test_bits = -1;
  double test_order0_bits = -1;  // order-0 entropy of the test part's bytes
  std::int64_t test_bytes = 0;
  std::string checkpoint;  // the last one saved: the path of its model.safetensors
  // To get the same again, besides the configuration (RUN/config.json):
  Origin origin;
  std::string data_sha256;  // that names the data (docs/training.md)
  std::int64_t data_bytes = 0;
  std::string data_change;  // what changed in the data since the run began, in words: --resume refuses them so
};

struct TrainOptions {
  std::string out;  // the run directory
  bool resume = false;
  bool overwrite = false;
  // With resume, one of them at most: the end that the run has from now on, counted from its beginning. From the next
  // step on learning rates are those of a run that was planned with this end, and training.patience counts anew.
  // minutes: above 0.
  std::optional<std::int64_t> steps = {};
  std::optional<double> minutes = {};
  const std::atomic<bool>* stop = nullptr;  // set: finish the step, save, return interrupted
  // Where several processes train together each calls train() with the same arguments and its own world; the first one
  // writes the run and tells its observer. None: this process alone.
  World* world = nullptr;
};

// config is ignored with resume but for training.device, unless automatic, and, where it names any, data.paths: where
// the run's data lie now; the rest is in RUN. Data that are no longer those that it was trained on are an error.
// training.threads is for programs to hand to set_threads (longstride/device.h), as longstride train does: here nothing
// is set for the process, and the bits do not depend on it.
TrainResult train(const Config& config, const TrainOptions& options, const TrainObserver& observer);

// The JSON of what a run begins from that begins with the weights of `run` (a run directory, whose best checkpoint it
// is, a checkpoint or a .safetensors file): training.init itself, that run's model, the form of its data and how it was
// trained. Its warm-up was for its own length, and what it was computed with is this machine's to choose: both are as
// if nothing had been said of them. Errors: invalid_argument where there is none, corrupt_data where it is damaged.
std::string config_to_begin_with(const std::string& run);

// training.threads as the run directory has it: what a program hands to set_threads before it goes on with that run. 0
// where there is none, or its config.json cannot be read, of which train() says what is wrong.
std::int64_t threads_of_run(const std::string& run);

}  // namespace longstride
#pragma GCC visibility pop
