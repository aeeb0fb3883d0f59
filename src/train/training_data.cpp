// This refuses data and weights that a run cannot begin with, for the run itself and for the plan of one.
#include "train/training_data.h"

#include <algorithm>

#include <fmt/format.h>

#include "io/system.h"
#include "longstride/error.h"
#include "longstride/plan.h"
#include "train/initial_weights.h"

namespace longstride {

void require_parts(const Dataset& data, const Config& config) {
  data.require_context(Split::train, config.model.context);
  if (config.training.patience == 0 || data.part(Split::valid).size() > 0) return;
  throw_invalid(
      fmt::format("training.patience: counts validations, and the validation part of {} is empty; give "
                  "data.split a share for it, or set it to 0",
                  data.describe()));
}

void require_tokens(const Dataset& data, const Config& config, const std::atomic<bool>* stop) {
  data.require_vocabulary(data.part(Split::all), config.model.vocabulary, stop);
}

void settle_weights(Config& config, const std::string& run) {
  settle_initial_weights(config);
  if (!config.data.paths.empty()) require_kind_of_weights(config, run);
}

DatasetOptions data_options(const Config& config) {
  DatasetOptions options;
  options.model = &config.model;
  options.has_weights = !config.training.init.empty();
  return options;
}

void check_start(const Config& asked) {
  check(asked);
  Config config = asked;
  settle_weights(config, "");
  if (config.data.paths.empty()) return;
  for (std::string& path : config.data.paths) path = absolute_path(path);  // as a run names them
  DatasetOptions options = data_options(config);
  constexpr double kMost = 0x1p50;
  const double share = config.data.split[0];  // of so many tokens it is more than one context
  options.undecoded_tokens = static_cast<std::int64_t>(
      share > 0 ? std::min(kMost, 2 * static_cast<double>(config.model.context) / share + 2) : kMost);
  const Dataset data(config.data, options);
  if (data.kind() == "sound" && data.size() >= options.undecoded_tokens) return;  // there may be any number more
  require_parts(data, config);
  if (data.readable()) require_tokens(data, config, nullptr);
}

}  // namespace longstride
