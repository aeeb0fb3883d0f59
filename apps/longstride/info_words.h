// What info says: of one run, of several side by side, of data before anything is trained on them, of this machine.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "longstride/checkpoint.h"
#include "longstride/preview.h"

namespace longstride::program {

// A run as it was named, and its checkpoint.
struct NamedRun {
  std::string name;
  CheckpointInfo info;
  std::vector<std::int64_t> checkpoints;     // steps; none where it is no run directory
  std::optional<std::int64_t> missing_best;  // the step of its best checkpoint where that is not there
};

nlohmann::ordered_json run_json(const NamedRun& run);
std::string run_words(const NamedRun& run);

// A column a run: first what came out, then the settings that are not the same in all of them.
nlohmann::ordered_json comparison_json(const std::vector<NamedRun>& runs);
std::string comparison_words(const std::vector<NamedRun>& runs);

// window: where its picture or sound was written to; empty: nowhere.
nlohmann::ordered_json preview_json(const DataPreview& preview, const std::string& window);
std::string preview_words(const DataPreview& preview, const std::string& window);

nlohmann::ordered_json machine_json();
std::string machine_words();
nlohmann::ordered_json cards_json();  // a list: of NVIDIA's cards that this process is shown

}  // namespace longstride::program
