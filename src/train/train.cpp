// longstride/train.h: from a configuration or a run directory to a session.
#include "longstride/train.h"

#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "io/system.h"
#include "longstride/error.h"
#include "model/precision.h"
#include "ops/backend.h"
#include "parallel/world.h"
#include "train/config_changes.h"
#include "train/initial_weights.h"
#include "train/run_directory.h"
#include "train/session.h"

namespace longstride {

namespace {

std::string gibibytes(std::int64_t bytes) {
  const auto hundredths = static_cast<long>(static_cast<double>(bytes) / (1 << 30) * 100 + 0.5);
  const std::string fraction = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (fraction.size() < 2 ? "0" : "") + fraction + " GiB";
}

void require_memory(const Plan& plan) {
  if (plan.fits) return;
  throw Error(ErrorKind::exhausted, "train: this run needs " + gibibytes(plan.total_bytes) + " of memory, " +
                                        gibibytes(plan.memory_available_bytes) + " are free; " + plan.advice);
}

std::string shared_text(World& world, std::string text) {
  auto bytes = static_cast<std::int64_t>(text.size());
  world.broadcast(&bytes, sizeof bytes);
  text.resize(static_cast<std::size_t>(bytes));
  world.broadcast(text.data(), bytes);
  return text;
}

// The first process's, in all of them.
Config shared(World& world, const Config& config) {
  if (world.size() == 1) return config;
  return read_config({shared_text(world, write_config(config))}, {"the first process"}, {});
}

// The first process decodes pictures and sound; where the others see its files they read what it made.
std::unique_ptr<Dataset> open_data(World& world, const Config& config, const TrainOptions& options, const Noted& note) {
  const auto open = [&] {
    return std::make_unique<Dataset>(
        config.data,
        DatasetOptions{RunDirectory::cache_path(options.out), &config.model, options.stop, note, options.out});
  };
  std::unique_ptr<Dataset> data;
  if (world.rank() == 0) data = open();
  char made = 0;
  world.broadcast(&made, 1);
  if (!data) data = open();
  return data;
}

// The configuration that a run goes on with: its own, with the end and the place of the data that were asked for now.
Config config_to_go_on(const RunDirectory& run, const Config& asked, const TrainOptions& options, const Noted& note) {
  if (options.steps && options.minutes) throw_invalid("--steps and --minutes: a run ends by one of them, got both");
  Config config = config_to_resume(run, note);
  if (options.steps) {
    config.training.steps = *options.steps;
    config.training.minutes = 0;
  }
  if (options.minutes) config.training.minutes = *options.minutes;
  if (!asked.data.paths.empty()) config.data.paths = asked.data.paths;
  check(config);
  return config;
}

// The session says what becomes of the end; what else differs was edited.
void note_edits(const RunDirectory& run, Config config, const Noted& note) {
  const TrainingConfig written = run.config().training;
  config.training.steps = written.steps;
  config.training.minutes = written.minutes;
  note_config_changes(run, config, note);
}

void require_validation(const Config& config, const Dataset& data) {
  if (config.training.patience == 0 || data.part(Split::valid).size() > 0) return;
  throw_invalid(fmt::format("training.patience: counts validations, and the validation part of {} is empty; give "
                            "data.split a share for it, or set it to 0",
                            data.describe()));
}

}  // namespace

TrainResult train(const Config& asked, const TrainOptions& options, const TrainObserver& observer) {
  World& world = options.world != nullptr ? *options.world : world_of_one();
  const bool first = world.rank() == 0;
  Config config = asked;
  const auto note = [&](const std::string& sentence) {
    if (observer.noted && first) observer.noted(sentence);
  };
  if (!options.resume) check(config);  // before a folder is made
  if (!options.resume && first) settle_initial_weights(config);
  std::optional<RunDirectory> run;
  if (first) {
    run.emplace(options.resume ? RunDirectory::open(options.out)
                               : RunDirectory::claim(options.out, options.overwrite));
    if (options.resume) config = config_to_go_on(*run, asked, options, note);
    RunDirectory::check_data(options.out, config.data.paths);
    for (std::string& path : config.data.paths) path = absolute_path(path);
    config.data.cache = absolute_path(config.data.cache);
  }
  config = shared(world, config);
  TrainingConfig here = config.training;  // threads and device, which are no part of what a run is, as they were set
  if (asked.training.device != Device::automatic) here.device = asked.training.device;
  check_device(here.device);
  config = on_machine(config, TrainingConfig());
  const std::unique_ptr<Dataset> data = open_data(world, config, options, note);
  config.data = data->config();
  data->require_context(Split::train, config.model.context);
  require_validation(config, *data);
  if (first) data->require_vocabulary(data->part(Split::all), config.model.vocabulary, options.stop);
  const Plan plan = plan_training(on_machine(config, here), world.size(), world.rank());
  require_memory(plan);
  config.training.precision = plan.precision;
  config.training.recompute = plan.recompute;
  config = shared(world, config);
  if (options.resume && first)
    note_edits(*run, config, note);
  else if (first)
    run->begin(on_machine(config, here));
  const std::unique_ptr<Backend> backend = make_backend(here.device);
  const double peak = backend->product_rate(type_of(config.training.precision));
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
