// This compares configurations key by key, and knows which keys the weights depend on.
#include "train/config_changes.h"

#include <algorithm>
#include <optional>
#include <set>

#include "io/file.h"
#include "io/system.h"
#include "longstride/error.h"
#include "longstride/train.h"
#include "model/checkpoint.h"
#include "model/config_fields.h"

namespace longstride {

namespace {

using Touches = ConfigChange::Touches;

Touches touched_by(const std::string& key, const Config& then, const Config& now) {
  static const std::set<std::string> nothing = {
      "model.initialisation",      "data.unreadable",         "training.recompute", "training.checkpoint_minutes",
      "training.validate_minutes", "training.sample_minutes", "training.keep",      "training.init",
      "training.init_sha256"};
  if (nothing.contains(key)) return Touches::nothing;
  const bool averaged = (then.training.ema > 0) != (now.training.ema > 0);  // the average is there or not
  if (key == "data.kind" || (key == "training.ema" && averaged)) return Touches::model;
  return key.starts_with("model.") && key != "model.dropout" ? Touches::model : Touches::weights;
}

// Where `config` leaves a choice to the program, the one that was made.
Config with_choices(Config config, const Config& made) {
  TrainingConfig& training = config.training;
  if (training.precision == Precision::automatic) training.precision = made.training.precision;
  if (training.recompute == Recompute::automatic) training.recompute = made.training.recompute;
  return config;
}

// What was changed in `config`, as config.json has it, since a checkpoint was made.
std::vector<ConfigChange> changes_since(const Config& checkpoint, const Config& config) {
  return config_changes(checkpoint, with_choices(config, checkpoint));
}

// The newest whose configuration can be believed: where it says something else than config.json, every byte is read.
std::optional<CheckpointInfo> newest_whole(const RunDirectory& run, const Config* same_as) {
  const std::vector<std::int64_t> steps = run.checkpoints();
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    try {
      const SafetensorsFile file(run.checkpoint_path(*step) + "/" + kModelFile);
      const CheckpointInfo info = read_checkpoint_metadata(file);
      if (same_as == nullptr || !changes_since(info.config, *same_as).empty()) file.verify();
      return info;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::corrupt_data) throw;  // the session says what it finds damaged
    }
  }
  return std::nullopt;
}

std::string words(const std::vector<ConfigChange>& changes, Touches touches) {
  std::string list;
  for (const ConfigChange& change : changes)
    if (change.touches == touches)
      list += (list.empty() ? "" : ", ") + change.key + " " + change.then + " -> " + change.now;
  return list;
}

void refuse_other_model(const RunDirectory& run, const Config& config) {
  const std::optional<CheckpointInfo> newest = newest_whole(run, &config);
  if (!newest) return;
  const std::string list = words(changes_since(newest->config, config), Touches::model);
  if (list.empty()) return;
  throw Error(ErrorKind::invalid_argument,
              "train: config.json of run \"" + run.path() + "\" is of another model than checkpoint " +
                  checkpoint_name(newest->step) + ": " + list + "; put it back as it was, or start another run");
}

}  // namespace

std::vector<ConfigChange> config_changes(const Config& then, const Config& now) {
  static const std::set<std::string> no_part = {"data.paths", "data.cache", "training.threads", "training.device"};
  std::vector<ConfigChange> changes;
  for (const ConfigField& field : config_fields()) {
    const nlohmann::json before = field.write(then), after = field.write(now);
    if (before == after || no_part.contains(field.key)) continue;
    changes.push_back({field.key, value_words(before), value_words(after), touched_by(field.key, then, now)});
  }
  return changes;
}

Config on_machine(Config config, const TrainingConfig& set) {
  config.training.threads = set.threads;
  config.training.device = set.device;
  config.training.precision = set.precision;
  config.training.recompute = set.recompute;
  return config;
}

Precision precision_of_run(const RunDirectory& run, const Config& config) {
  if (config.training.precision != Precision::automatic) return config.training.precision;
  const std::optional<CheckpointInfo> newest = newest_whole(run, &config);
  return newest ? newest->config.training.precision : Precision::automatic;
}

Config config_to_resume(const RunDirectory& run, const Noted& noted) {
  if (!is_there(run.config_path())) {
    const std::optional<CheckpointInfo> newest = newest_whole(run, nullptr);
    if (!newest)
      throw Error(ErrorKind::corrupt_data, "train: run \"" + run.path() +
                                               "\" has lost its config.json, and has no "
                                               "checkpoint that is whole to take it from; start it anew");
    noted("config.json is missing: the run goes on with the configuration of checkpoint " +
          checkpoint_name(newest->step));
    run.write_config(newest->config);
  }
  Config config;
  try {
    config = run.config();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::invalid_argument || run.checkpoints().empty()) throw;
    throw Error(error.kind(), std::string(error.what()) +
                                  "; put it right, or delete the file: --resume then takes the "
                                  "configuration of the newest checkpoint");
  }
  refuse_other_model(run, config);
  return config;
}

void note_config_changes(const RunDirectory& run, const Config& config, const Noted& noted) {
  const std::optional<CheckpointInfo> newest = newest_whole(run, &config);
  if (!newest) return;
  const std::vector<ConfigChange> changes = changes_since(newest->config, config);
  const std::string since = "config.json was edited since checkpoint " + checkpoint_name(newest->step) + ": ";
  if (const std::string list = words(changes, Touches::weights); !list.empty())
    noted(since + list + "; from here on this is another run, and ends in other weights than either would have alone");
  if (const std::string list = words(changes, Touches::nothing); !list.empty())
    noted(since + list + "; the weights do not depend on it");
}

std::int64_t threads_of_run(const std::string& run) {
  const std::string path = run + "/config.json";
  try {
    return read_config({InputFile(path).text()}, {path}, {}).training.threads;
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace longstride
