// This refuses data that a run cannot train on, for the run itself and for the plan of one.
#include "train/training_data.h"

#include <fmt/format.h>

#include "longstride/error.h"
#include "longstride/plan.h"

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

void check_data_of_plan(const Config& config) {
  if (config.data.paths.empty()) return;
  DataConfig of_data = config.data;
  of_data.kind = find_kind(config.data);  // so that opening them does not look again
  if (of_data.kind != "text") return;
  const Dataset data(of_data);
  require_parts(data, config);
  require_tokens(data, config, nullptr);
}

}  // namespace longstride
