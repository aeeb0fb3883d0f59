// This adds the options that say how tokens are chosen.
#include "choice.h"

#include <fmt/format.h>

#include "longstride/error.h"
#include "words.h"

namespace longstride::program {
namespace {

// Text below 1 makes fewer slips, which a reader stumbles over; sound's tones stand clearer above the noise
// (docs/sampling.md); pictures are as they are likely.
double usual_temperature(const std::string& kind) { return kind == "image" ? 1 : kind == "sound" ? 0.9 : 0.8; }

}  // namespace

void add_choice_options(CommandLine app, ChoiceOptions& options, SampleOptions& what, const std::string& usual) {
  app.add_option("--temperature", options.temperature,
                 fmt::format("0: greedy, 1: as likely as the model holds it (default: {})", usual))
      .type_name("T");
  app.add_option("--top-k", what.top_k, "Choose among the K likeliest (0: off)").type_name("K").capture_default_str();
  app.add_option("--top-p", what.top_p, "Choose among the likeliest that make up P (1: off)")
      .type_name("P")
      .capture_default_str();
  app.add_option("--min-p", what.min_p, "Only tokens at least P times as likely as the likeliest (0: off)")
      .type_name("P")
      .capture_default_str();
  app.add_option("--seed", what.seed, "Of the choices").type_name("S").capture_default_str();
  app.add_option("--stop", options.stops, "End a text as soon as this was made, which stays in it; may be repeated")
      .type_name("TEXT")
      .one_value_each_time();
}

std::string settle_choice(const ChoiceOptions& options, const DataConfig& data, SampleOptions& what) {
  if (!options.stops.empty() && !is_text(data))
    throw_invalid(fmt::format("--stop: ends texts, and the model has learned from {}", kind_words(data)));
  for (const std::string& stop : options.stops) what.stops.push_back(bytes_of(stop));
  what.temperature = options.temperature.value_or(usual_temperature(data.kind));
  if (options.temperature) return "";
  return fmt::format("at temperature {}, which suits {}; --temperature takes another", what.temperature,
                     kind_words(data));
}

std::vector<std::uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

}  // namespace longstride::program
