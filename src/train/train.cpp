// longstride/train.h: from a configuration or a run directory to a session.
#include "longstride/train.h"

#include <memory>
#include <optional>
#include <string>

#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"
#include "model/precision.h"
#include "ops/backend.h"
#include "parallel/world.h"
#include "train/config_changes.h"
#include "train/run_directory.h"
#include "train/session.h"

namespace longstride {

namespace {

void require_memory(const Plan& plan) {
  if (plan.fits) return;
  const auto needed = static_cast<double>(plan.total_bytes), free = static_cast<double>(plan.memory_available_bytes);
  throw Error(ErrorKind::exhausted, "train: this run needs " + gigabytes(needed) + " of memory, " + gigabytes(free) +
                                        " are free; " + plan.advice);
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

}  // namespace

TrainResult train(const Config& asked, const TrainOptions& options, const TrainObserver& observer) {
  World& world = options.world != nullptr ? *options.world : world_of_one();
  const bool first = world.rank() == 0;
  Config config = asked;
  const auto note = [&](const std::string& sentence) {
    if (observer.noted && first) observer.noted(sentence);
  };
  if (!options.resume) check(config);  // before a folder is made
  std::optional<RunDirectory> run;
  if (first) {
    run.emplace(options.resume ? RunDirectory::open(options.out)
                               : RunDirectory::claim(options.out, options.overwrite));
    if (options.resume) {
      config = config_to_resume(*run, note);
      if (!asked.data.paths.empty()) config.data.paths = asked.data.paths;
      check(config);
    }
    RunDirectory::check_data(options.out, config.data.paths);
    for (std::string& path : config.data.paths) path = absolute_path(path);
    config.data.cache = absolute_path(config.data.cache);
  }
  const Device device = asked.training.device;
  check_device(device);
  config = shared(world, config);
  config.training.threads = 0;  // neither is a part of what a run is
  config.training.device = Device::automatic;
  const std::unique_ptr<Dataset> data = open_data(world, config, options, note);
  config.data = data->config();
  data->require_context(Split::train, config.model.context);
  if (first) data->require_vocabulary(data->part(Split::all), config.model.vocabulary, options.stop);
  Config here = config;
  here.training.device = device;
  const Plan plan = plan_training(here, world.size(), world.rank());
  require_memory(plan);
  config.training.precision = plan.precision;
  config.training.recompute = plan.recompute;
  config = shared(world, config);
  if (options.resume && first)
    note_config_changes(*run, config, note);
  else if (first)
    run->begin(config);
  const std::unique_ptr<Backend> backend = make_backend(device);
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
