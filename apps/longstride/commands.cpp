// The commands that there are, in the order of the program's help.
#include "command.h"

namespace longstride::program {

std::vector<Command> add_commands(CommandLine program) {
  return {train_command(program), evaluate_command(program),  sample_command(program),
          chat_command(program),  pattern_command(program),   plan_command(program),
          info_command(program),  attention_command(program), doctor_command(program)};
}

}  // namespace longstride::program
