// One file a command. Each adds its options to the program and says what to run when it was chosen.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "command_line.h"
#include "longstride/config.h"

namespace longstride::program {

struct Command {
  CommandLine line;
  std::function<int()> run;  // returns the exit status; throws longstride::Error
  bool by_all = false;       // where a launcher started several processes all run it; else the first answers
};

Command train_command(CommandLine program);
Command evaluate_command(CommandLine program);
Command sample_command(CommandLine program);
Command chat_command(CommandLine program);
Command pattern_command(CommandLine program);
Command plan_command(CommandLine program);
Command info_command(CommandLine program);
Command attention_command(CommandLine program);
Command doctor_command(CommandLine program);

inline constexpr const char* kPurpose = "Sparse Transformers over bytes: train, measure in bits per byte, sample.";
std::vector<Command> add_commands(CommandLine program);  // all of them

}  // namespace longstride::program
