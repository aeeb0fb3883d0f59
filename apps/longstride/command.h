// One file a command. Each adds its options to the program and says what to run when it was chosen.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "longstride/config.h"

namespace longstride::program {

struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;  // returns the exit status; throws longstride::Error
};

Command train_command(CLI::App& program);
Command evaluate_command(CLI::App& program);
Command sample_command(CLI::App& program);
Command pattern_command(CLI::App& program);
Command plan_command(CLI::App& program);
Command info_command(CLI::App& program);
Command attention_command(CLI::App& program);

}  // namespace longstride::program
