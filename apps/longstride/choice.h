// How tokens are chosen, as a person says it: --temperature and its kin.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "command_line.h"
#include "longstride/config.h"
#include "longstride/sample.h"

namespace longstride::program {

struct ChoiceOptions {
  std::optional<double> temperature;
  std::vector<std::string> stops;
};
// The others go into `what` at once. usual: the temperatures where none is given, as help says them.
void add_choice_options(CommandLine app, ChoiceOptions& options, SampleOptions& what, const std::string& usual);

// Puts temperature and stops into `what`. Returns what is to be said where nobody chose the temperature: the one that
// suits what the model has learned from; empty where somebody did. Error invalid_argument where --stop is given for
// pictures or sound.
std::string settle_choice(const ChoiceOptions& options, const DataConfig& data, SampleOptions& what);

std::vector<std::uint8_t> bytes_of(std::string_view text);

}  // namespace longstride::program
