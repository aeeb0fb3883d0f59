// This tries smaller and smaller runs until one fits.
#include "train/advice.h"

#include <fmt/format.h>

namespace longstride {

namespace {

// One step towards a smaller run; false where there is none left.
using Change = bool (*)(Config&);

bool recompute(Config& config) {
  if (config.training.recompute == Recompute::block) return false;
  config.training.recompute = Recompute::block;
  return true;
}

bool halve_batch(Config& config) {
  config.training.batch = config.training.batch / 2;
  return config.training.batch > 0;
}

bool use_bfloat16(Config& config) {
  if (config.training.precision == Precision::bfloat16) return false;
  config.training.precision = Precision::bfloat16;
  return true;
}

bool halve_layers(Config& config) {
  config.model.layers = config.model.layers / 2;
  return config.model.layers > 0;
}

// The options that make one of the other.
std::string options_between(const Config& from, const Config& to) {
  std::string options;
  if (to.model.layers != from.model.layers) options += fmt::format(" --set model.layers={}", to.model.layers);
  if (to.training.batch != from.training.batch) options += fmt::format(" --batch {}", to.training.batch);
  if (to.training.precision != from.training.precision) options += " --precision bfloat16";
  if (to.training.recompute != from.training.recompute) options += " --set training.recompute=block";
  return options;
}

}  // namespace

std::string advice_for(const Config& config, const std::function<bool(const Config&)>& fits) {
  Config tried = config;
  for (const Change change : {recompute, halve_batch, use_bfloat16, halve_layers}) {
    for (Config next = tried; change(next);) {
      tried = next;
      if (fits(tried)) return "try" + options_between(config, tried);
    }
  }
  return "no smaller batch, number format or number of layers helps; a smaller width or context is needed";
}

}  // namespace longstride
