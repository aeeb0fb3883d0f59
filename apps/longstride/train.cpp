// longstride train: from files to a run directory, with something to look at meanwhile.
#include "longstride/train.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "longstride/error.h"
#include "options.h"
#include "output.h"
#include "output_file.h"
#include "processes.h"
#include "signals.h"
#include "train_screen.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr const char* kStoppingWords =
    "\nlongstride train: stopping; a step that is under way is finished and saved first\n";
constexpr const char* kPatienceWords =
    "\nlongstride train: the step is being finished and the checkpoint written; Ctrl-\\ ends at once, without it\n";

struct TrainArguments {
  ConfigOptions config;
  OutputOptions output;
  TrainOptions what;
};

nlohmann::ordered_json to_json(const TrainResult& result, const std::string& out) {
  nlohmann::ordered_json json;
  json["run"] = out;
  json["step"] = result.step;
  json["interrupted"] = result.interrupted;
  json["stopped_early"] = result.stopped_early;
  json["valid_bits"] = known(result.valid_bits);
  json["test_bits"] = known(result.test_bits);
  json["test_order0_bits"] = known(result.test_order0_bits);
  json["test_bytes"] = result.test_bytes;
  json["checkpoint"] = result.checkpoint;
  json["data_bytes"] = result.data_bytes;
  json["data_sha256"] = result.data_sha256;
  json["origin"] = origin_json(result.origin);
  return json;
}

// A run that goes on is what it was: settings of another one are not put aside without a word.
void refuse_other_settings(const TrainArguments& arguments) {
  std::vector<std::string> given = given_config_options(arguments.config);
  for (const char* possible : {"--data", "--steps", "--minutes"}) std::erase(given, possible);
  if (given.empty()) return;
  throw_invalid(fmt::format(
      "{}: a run goes on with its own settings; --resume takes --steps or --minutes (its new end, counted from its "
      "beginning), --data (where its data lie now), --threads and --device; --init {} begins another run with its "
      "weights, and config.json in it may be edited",
      fmt::join(given, ", "), arguments.what.out.empty() ? "RUN" : shell_word(arguments.what.out)));
}

Config configuration(TrainArguments& arguments, TrainScreen& screen) {
  if (!arguments.what.resume) {
    std::string begun_with;
    const Config config = read_options(arguments.config, &begun_with);
    screen.set_begun_with(begun_with);
    if (config.data.paths.empty()) {
      throw Error(ErrorKind::invalid_argument, "--data: needs the files or folders to learn from, got none");
    }
    return config;
  }
  if (arguments.what.overwrite) {
    throw Error(ErrorKind::invalid_argument, "--resume and --overwrite: a run is gone on with or replaced, got both");
  }
  refuse_other_settings(arguments);
  arguments.what.steps = arguments.config.steps;
  arguments.what.minutes = arguments.config.minutes;
  Config config;
  config.data.paths = arguments.config.data;
  config.training.threads = arguments.config.threads.value_or(threads_of_run(arguments.what.out));
  config.training.device = parse_device(arguments.config.device.value_or("auto"));
  return config;
}

int run(TrainArguments& arguments, const Launched& launched, const std::atomic<bool>* stop) {
  const bool first = launched.rank == 0;  // the only one that says anything
  TrainScreen screen(arguments.output.quiet || !first);
  arguments.config.run = arguments.what.out;
  const Config config = configuration(arguments, screen);
  if (arguments.what.out.empty()) {
    throw Error(ErrorKind::invalid_argument, "--out: needs the run directory to write or to go on with, got none");
  }
  if (arguments.what.out == kStandardOutput) throw_invalid("--out: needs the name of a folder, got \"-\"");
  apply_threads(share_of_threads(launched, config.training.threads));
  arguments.what.world = launched.world.get();
  screen.set_processes(processes_words(launched));
  arguments.what.stop = stop;
  const TrainResult result = train(config, arguments.what, screen.observer());
  screen.finish();
  if (!first) return result.interrupted ? kInterrupted : 0;
  if (arguments.output.json) {
    print_json(to_json(result, arguments.what.out));
  } else if (!result.interrupted) {
    print_words(result_words(result, screen.config(), arguments.what.out));
  }
  if (!result.interrupted) return 0;
  screen.note(fmt::format("stopped at step {}; {}`longstride train --resume --out {}` goes on", result.step,
                          result.data_change.empty() ? "" : "once the data are as they were, ",
                          shell_word(arguments.what.out)));
  return kInterrupted;
}

}  // namespace

Command train_command(CommandLine program) {
  CommandLine app = program.add_command("train", "Learn from files and write a run directory");
  auto arguments = std::make_shared<TrainArguments>();
  add_config_options(app, arguments->config);
  app.add_option("--out", arguments->what.out, "The run directory to write").type_name("RUN");
  app.add_flag(
      "--resume", arguments->what.resume,
      "Go on exactly where RUN stopped; needs --out alone, --data where the data were moved, and to go on beyond "
      "its end --steps or --minutes, counted from its beginning");
  app.add_flag("--overwrite", arguments->what.overwrite, "Replace the run that RUN holds");
  add_output_options(app, arguments->output);
  app.add_example(
      "longstride train --data /usr/include/c++ --out runs/first --minutes 3\n"
      "  longstride train --resume --out runs/first --minutes 10\n"
      "  longstride train --init runs/first --data README.md --out runs/second --steps 200");
  return {app,
          [arguments] {
            const bool speaks = is_first_launched() && !arguments->output.quiet;
            const std::atomic<bool>* stop = stop_on_signals(speaks ? kPatienceWords : "", speaks ? kStoppingWords : "");
            return run_together("train", stop,
                                [&](const Launched& launched) { return run(*arguments, launched, stop); });
          },
          true};
}

}  // namespace longstride::program
