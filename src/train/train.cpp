// longstride/train.h: from a configuration or a run directory to a session.
#include "longstride/train.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"
#include "model/precision.h"
#include "ops/backend.h"
#include "parallel/agreement.h"
#include "train/config_changes.h"
#include "train/initial_weights.h"
#include "train/run_directory.h"
#include "train/same_start.h"
#include "train/session.h"
#include "train/training_data.h"

namespace longstride {

namespace {

// What helps a run that goes on: its settings are what they are, and recomputation changes no bit.
std::string advice_to_go_on(const Plan& plan) {
  const std::int64_t saved = plan.bytes_without_recomputation - plan.bytes_with_recomputation;
  const bool helps = plan.recompute == Recompute::none && plan.total_bytes - saved <= plan.memory_available_bytes &&
                     plan.host_bytes <= plan.host_available_bytes;
  return helps ? "with \"recompute\": \"block\" in its config.json it fits" : "it goes on where more are free";
}

void require_memory(const Plan& plan, bool goes_on) {
  if (plan.fits) return;
  const bool on_host = plan.total_bytes <= plan.memory_available_bytes;
  const auto needed = static_cast<double>(on_host ? plan.host_bytes : plan.total_bytes),
             free = static_cast<double>(on_host ? plan.host_available_bytes : plan.memory_available_bytes);
  const std::string where = plan.device == "cpu" ? "" : on_host ? " beside the card's" : " of " + plan.device_name;
  throw Error(ErrorKind::exhausted, "train: this run needs " + gigabytes(needed) + " of memory" + where + ", " +
                                        gigabytes(free) + " are free; " +
                                        (goes_on ? advice_to_go_on(plan) : plan.advice));
}

// The first process's, in all of them.
Config shared(World& world, const Config& config) {
  if (world.size() == 1) return config;
  return read_config({shared_text(world, write_config(config))}, {"the first process"}, {});
}

// Pictures and sound are decoded once, or once a machine where each has its own folders.
std::unique_ptr<Dataset> open_data(World& world, const Config& config, const TrainOptions& options, const Noted& note) {
  std::unique_ptr<Dataset> data;
  in_turns(world, [&] {
    DatasetOptions of_data = data_options(config);
    of_data.cache = RunDirectory::cache_path(options.out);
    of_data.stop = options.stop;
    of_data.noted = note;
    of_data.run = options.out;
    data = std::make_unique<Dataset>(config.data, of_data);
  });
  return data;
}

// Data of a run that goes on may have been moved.
std::unique_ptr<Dataset> open_data(World& world, const Config& config, const Config& asked, const TrainOptions& options,
                                   const Noted& note) {
  try {
    return open_data(world, config, options, note);
  } catch (const Error& error) {
    const bool lacking = std::any_of(config.data.paths.begin(), config.data.paths.end(),
                                     [](const std::string& path) { return !is_there(path); });
    if (!options.resume || !asked.data.paths.empty() || !lacking) throw;
    throw Error(error.kind(), std::string(error.what()) + "; where the run's data were moved, --data NEW names them");
  }
}

// The configuration that a run goes on with: its own, with the end and the place of the data that were asked for now.
Config config_to_go_on(const RunDirectory& run, const Config& asked, const TrainOptions& options, const Noted& note) {
  if (options.steps && options.minutes) throw_invalid("--steps and --minutes: a run ends by one of them, got both");
  if (options.minutes && !(*options.minutes > 0))
    throw_invalid(fmt::format("--minutes: needs a number above 0, got {}", *options.minutes));
  Config config = config_to_resume(run, note);
  if (options.steps) {
    config.training.steps = *options.steps;
    config.training.minutes = 0;
  }
  if (options.minutes) config.training.minutes = *options.minutes;
  if (!asked.data.paths.empty()) config.data.paths = asked.data.paths;
  check(config);
  config.training.precision = precision_of_run(run, config);
  return config;
}

// The session says what becomes of the end; what else differs was edited.
void note_edits(const RunDirectory& run, const Config& used, const Noted& note) {
  const TrainingConfig written = run.config().training;
  Config config = on_machine(used, written);
  config.training.steps = written.steps;
  config.training.minutes = written.minutes;
  note_config_changes(run, config, note);
}

// Parts that rounding or data.split left nothing of.
void note_empty_parts(const Dataset& data, const Noted& note) {
  const bool valid = data.part(Split::valid).size() > 0, test = data.part(Split::test).size() > 0;
  if (valid && test) return;
  const std::string parts = valid ? "the test part is" : test ? "the validation part is" : "validation and test are";
  note(fmt::format(
      "{} empty (data.split is [{}]): {}", parts, fmt::join(data.config().split, ", "),
      valid ? "there will be no test bits" : "nothing is validated, and no checkpoint is known as the best"));
}

// Of the processes together, which share a step's work. Where they share cores, each was measured beside the others.
double rate_of_all(World& world, double mine) {
  std::vector<double> rates(static_cast<std::size_t>(world.size()));
  world.all_gather(&mine, sizeof mine, rates.data());
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

}  // namespace

TrainResult train(const Config& asked, const TrainOptions& options, const TrainObserver& observer) {
  World& world = world_or_one(options.world);
  const bool first = world.rank() == 0;
  Config config = asked;
  const auto note = [&](const std::string& sentence) {
    if (observer.noted && first) observer.noted(sentence);
  };
  if (!options.resume) check(config);  // before a folder is made
  require_same_start(world, asked, options);
  if (!options.resume && first) {
    settle_weights(config, options.out);
    RunDirectory::check_initial_weights(options.out, config.training.init);
  }
  std::optional<RunDirectory> run;
  if (first) {
    run.emplace(options.resume ? RunDirectory::open(options.out) : RunDirectory::claim(options.out, options.overwrite));
    if (options.resume) config = config_to_go_on(*run, asked, options, note);
    RunDirectory::check_data(options.out, config.data.paths);
    for (std::string& path : config.data.paths) path = absolute_path(path);
    config.data.cache = absolute_path(config.data.cache);
  }
  config = shared(world, config);
  TrainingConfig here = config.training;  // threads and device, which are no part of what a run is, as they were set
  if (asked.training.device != Device::automatic) here.device = asked.training.device;
  TrainingConfig mine = here;
  mine.device = device_among(world, here.device);
  config = on_machine(config, TrainingConfig());
  const std::unique_ptr<Dataset> data = open_data(world, config, asked, options, note);
  if (world.size() > 1) require_same(world, "train: the data", data->identity());
  config.data = data->config();
  require_parts(*data, config);
  if (first) require_tokens(*data, config, options.stop);
  Plan plan = plan_training(on_machine(config, mine), world.size(), world.rank());
  require_memory(plan, options.resume);
  if (!options.resume && first) require_finite_losses(on_machine(config, mine), *data);
  config.training.precision = plan.precision;
  config.training.recompute = plan.recompute;
  config = shared(world, config);
  if (options.resume && first) {
    if (run->config().training.precision != here.precision) plan.precision_reason = "as chosen when the run began";
    note_edits(*run, config, note);
  } else if (first) {
    run->begin(on_machine(config, here));
  }
  if (first) note_empty_parts(*data, note);
  const std::unique_ptr<Backend> backend = make_backend(mine.device);
  const double peak = rate_of_all(world, backend->product_rate(type_of(config.training.precision)));
  Session session(*backend, config, plan, peak, std::move(run), *data, options, observer, world);
  if (options.resume)
    session.resume();
  else
    session.start();
  if (observer.started && first) observer.started(config, plan, data->describe());
  try {
    return session.run();
  } catch (const Error& error) {  // what was asked for has been found right: by now something else is wrong
    throw Error(error.kind() == ErrorKind::invalid_argument ? ErrorKind::exhausted : error.kind(), error.what());
  }
}

}  // namespace longstride
