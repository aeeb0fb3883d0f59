// This looks for the largest run that fits, change after change.
#include "train/advice.h"

#include <fmt/format.h>

namespace longstride {

namespace {

using Fits = std::function<bool(const Config&)>;
using Count = std::int64_t& (*)(Config&);

std::int64_t& batch_of(Config& config) { return config.training.batch; }
std::int64_t& layers_of(Config& config) { return config.model.layers; }

Config with(Config config, Count count, std::int64_t number) {
  count(config) = number;
  return config;
}

// As large a count, below what it is, as fits, so that it does not depend on what was asked for; 1 where none does. A
// run that is smaller fits where a larger one does.
Config largest(const Config& config, Count count, const Fits& fits) {
  Config counted = config;
  std::int64_t most = 1, too_many = count(counted);
  if (too_many <= 2 || !fits(with(config, count, 1))) return with(config, count, 1);
  while (too_many - most > 1) {
    const std::int64_t middle = most + (too_many - most) / 2;
    (fits(with(config, count, middle)) ? most : too_many) = middle;
  }
  return with(config, count, most);
}

// The changes, one on top of the other: what leaves results as they are comes first, fewer layers last.
Config smaller(const Config& config, int change, const Fits& fits) {
  Config next = config;
  if (change == 0) next.training.recompute = Recompute::block;
  if (change == 1) next = largest(config, batch_of, fits);
  if (change == 2) next.training.precision = Precision::bfloat16;
  if (change == 3) next = largest(config, layers_of, fits);
  return next;
}
constexpr int kChanges = 4;

// Without those of the changes that turned out to be of no need.
Config fewest_changes(const Config& from, Config to, const Fits& fits) {
  Config less = to;
  less.training.precision = from.training.precision;
  if (fits(less)) to = less;
  less = to;
  less.training.recompute = from.training.recompute;
  return fits(less) ? less : to;
}

// The options that make one of the other.
std::string options_between(const Config& from, const Config& to) {
  std::string options;
  if (to.model.layers != from.model.layers) options += fmt::format(" --layers {}", to.model.layers);
  if (to.training.batch != from.training.batch) options += fmt::format(" --batch {}", to.training.batch);
  if (to.training.precision != from.training.precision) options += " --precision bfloat16";
  if (to.training.recompute != from.training.recompute) options += " --set training.recompute=block";
  return options;
}

}  // namespace

std::string advice_for(const Config& config, const Fits& fits, const std::string& needed) {
  Config tried = config;
  for (int change = 0; change < kChanges; ++change) {
    tried = smaller(tried, change, fits);
    if (!fits(tried)) continue;
    const std::string options = options_between(config, fewest_changes(config, tried, fits));
    return options.empty() ? "memory has become free meanwhile: try again" : "try" + options;
  }
  return "no smaller batch, number format or number of layers helps; " + needed + " is needed";
}

}  // namespace longstride
