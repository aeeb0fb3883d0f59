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

// The same, with what the machine has a say in as it is set there: threads and device, which are no part of what a run
// is, precision and recomputation. config.json keeps what was asked for, `auto` too; checkpoints keep what was chosen.
Config on_machine(Config config, const TrainingConfig& set);

// Of activations, in the sessions that go on: what config.json asks for, and where that is `auto` what was chosen as
// the run began, which its newest whole checkpoint knows. automatic: there is none.
Precision precision_of_run(const RunDirectory& run, const Config& config);

using Noted = std::function<void(const std::string& sentence)>;

// What config.json says; where it is missing, what the newest checkpoint that is whole was trained with, which is
// written down again. Error invalid_argument where it cannot be read, or is of another model than that checkpoint.
Config config_to_resume(const RunDirectory& run, const Noted& noted);

// Says what changed since the newest checkpoint that is whole, and what that means. config: as config.json has it;
// choices that it leaves to the program are no change.
void note_config_changes(const RunDirectory& run, const Config& config, const Noted& noted);

}  // namespace longstride
