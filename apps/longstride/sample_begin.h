// What samples begin with, and lengths as a person gives them: --prime, --prompt, --keep, --tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "command_line.h"
#include "longstride/config.h"
#include "longstride/image.h"
#include "processes.h"

namespace longstride::program {

struct BeginOptions {
  std::string prime, keep, tokens;
  std::vector<std::string> prompts;
  std::optional<std::string> standard_input;  // where `prime` means it: what it had
};
void add_begin_options(CommandLine app, BeginOptions& options);

// Where --prime is -: the first process reads it, for launchers give it to that one alone, and all have it.
void read_standard_input(BeginOptions& options, const Launched& launched);

struct Beginning {
  std::vector<std::vector<std::uint8_t>> prompts;  // what was kept of what was given; none: nothing was
  std::optional<Image> original;                   // the picture that was given, as the model sees it
};

// Reads it as training reads data of this kind. Errors: invalid_argument where options do not fit one another or the
// kind, or a file has what is no token of the model, else those of unreadable files.
Beginning read_beginning(const BeginOptions& options, const Config& config);

// New tokens: as --tokens says, else 256 bytes of text, the rest of the picture, or 10 seconds of sound. Error
// invalid_argument where it is no such number, or more than the rest of the picture.
std::int64_t new_tokens(const BeginOptions& options, const DataConfig& data, const Beginning& beginning);

}  // namespace longstride::program
