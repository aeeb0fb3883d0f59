// config.json of a run against the configurations that its checkpoints hold: people edit it, and disks lose it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "longstride/config.h"
#include "train/run_directory.h"

namespace longstride {

struct ConfigChange {
  // nothing: the weights do not depend on it. weights: from here on they become others. model: those that there are
  // mean nothing to it.
  enum class Touches { nothing, weights, model };
  std::string key;
  std::string then, now;  // values, as messages show them
  Touches touches = Touches::nothing;
};

// By keys; without those that are no part of what a run is (where its data lie, threads, device).
std::vector<ConfigChange> config_changes(const Config& then, const Config& now);

// The same, with the threads and the device that are set there: they are no part of what a run is.
Config on_machine(Config config, const TrainingConfig& set);

using Noted = std::function<void(const std::string& sentence)>;

// What config.json says; where it is missing, what the newest checkpoint that is whole was trained with, which is
// written down again. Error invalid_argument where it cannot be read, or is of another model than that checkpoint.
Config config_to_resume(const RunDirectory& run, const Noted& noted);

// Says what changed since the newest checkpoint that is whole, and what that means. config: as it is used.
void note_config_changes(const RunDirectory& run, const Config& config, const Noted& noted);

}  // namespace longstride
