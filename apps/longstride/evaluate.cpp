// longstride evaluate RUN --data PATH...: bits per byte, never without its protocol.
#include "longstride/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "longstride/checkpoint.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "options.h"
#include "output.h"
#include "output_file.h"
#include "per_byte.h"
#include "processes.h"
#include "progress.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

struct EvaluateArguments {
  RunOptions run;
  OutputOptions output;
  EvaluateOptions what;
  PerByteOptions per_byte;
  std::string precision = "auto", device = "auto";
  std::int64_t threads = 0;
};

nlohmann::ordered_json to_json(const Evaluation& result) {
  nlohmann::ordered_json json;
  json["bits_per_byte"] = result.bits_per_byte;
  json["standard_error"] = nullptr;  // one window alone has none
  if (result.standard_error >= 0) json["standard_error"] = result.standard_error;
  json["tokens_scored"] = result.tokens_scored;
  json["context"] = result.context;
  json["min_context"] = result.min_context;
  json["kind"] = result.kind;
  json["windows"] = result.windows;
  json["data"] = result.data;
  json["data_sha256"] = result.data_sha256;
  json["offset"] = result.offset;
  json["checkpoint"] = result.checkpoint;
  json["checkpoint_sha256"] = result.checkpoint_sha256;
  json["step"] = result.step;
  json["precision"] = result.precision;
  json["split"] = result.split;
  json["origin"] = origin_json(result.origin);
  json["trained_by"] = origin_json(result.trained_by);
  json["processor"] = machine_info().processor;
  json["seconds"] = result.seconds;
  return json;
}

// unit: what a bit is per, dim or byte.
std::string to_words(const Evaluation& result, const std::string& unit) {
  const std::string spread = result.standard_error < 0
                                 ? " (one window: no standard error)"
                                 : fmt::format(" ± {:.4f} (standard error over windows)", result.standard_error);
  return fmt::format("{:.4f} bits per {}{}\n{}; {}\n", result.bits_per_byte, unit, spread,
                     escaped(protocol_words(result)), duration_words(result.seconds));
}

int run(EvaluateArguments& arguments, const Launched& launched, const std::atomic<bool>* stop) {
  const bool first = launched.rank == 0;  // the only one that says anything
  apply_threads(share_of_threads(launched, arguments.threads));
  EvaluateOptions& options = arguments.what;
  options.run = arguments.run.run;
  options.precision = parse_precision(arguments.precision);
  options.device = parse_device(arguments.device);
  if (options.paths.empty()) {
    throw Error(ErrorKind::invalid_argument, "--data: needs the files or folders to score, got none");
  }
  if (const std::vector<std::string> parts = {"train", "valid", "test", "all"};
      std::find(parts.begin(), parts.end(), options.split) == parts.end())
    throw_invalid(fmt::format("--split: needs train, valid, test or all, got \"{}\"{}", options.split,
                              nearest_words(options.split, parts)));
  if (launched.size > 1 && arguments.per_byte.any())
    throw_invalid("--per-byte and --page: one process says what bytes cost; start it without a launcher");
  keep_json_alone("--page", arguments.per_byte.page, arguments.output.json);
  ProgressLine line(arguments.output.quiet || !first);
  const auto note = [&](const std::string& sentence) { line.print(message("evaluate", sentence)); };
  options.checkpoint = chosen_checkpoint(arguments.run, note);
  const DataConfig data = first ? checkpoint_config(options.run, options.checkpoint).data : DataConfig();
  const std::string unit = bits_unit(data);
  PerByte per_byte(arguments.per_byte, data, options);
  options.stop = stop;
  options.progress = [&](double share, double bits) {
    line.show(fmt::format("{:3.0f}%  {:.4f} bits per {} so far", 100 * share, bits, unit));
  };
  options.world = launched.world.get();
  options.noted = note;
  const Evaluation result = evaluate(options);
  line.finish();
  if (result.interrupted) {
    line.print(
        message("evaluate", fmt::format("interrupted after {}: no result", counted(result.tokens_scored, "byte"))));
    return kInterrupted;
  }
  if (!first) return 0;
  const nlohmann::ordered_json json = to_json(result);
  if (arguments.per_byte.takes_output()) {
    line.print(to_words(result, unit));
  } else if (arguments.output.json) {
    print_json(json);
  } else {
    print_words(to_words(result, unit));
  }
  if (const std::string done = per_byte.finish(result, json); !done.empty()) line.print(done);
  return 0;
}

}  // namespace

Command evaluate_command(CommandLine program) {
  CommandLine app = program.add_command("evaluate", "Measure a model in bits per byte under a stated protocol");
  auto arguments = std::make_shared<EvaluateArguments>();
  EvaluateOptions& what = arguments->what;
  add_run_options(app, arguments->run);
  app.add_option("--data", what.paths, "Files and folders to score").type_name("PATH");
  app.add_option("--split", what.split, "Of the data, by the run's own shares")
      .type_name("train|valid|test|all")
      .capture_default_str();
  app.add_option("--offset", what.offset, "Bytes of the part to skip").type_name("N").capture_default_str();
  app.add_option("--bytes", what.bytes, "Bytes to score at most (default all)").type_name("N");
  app.add_option("--min-context", what.min_context,
                 "Tokens of context that every scored token has, the first window's aside")
      .type_name("M")
      .capture_default_str();
  app.add_option("--cache", what.cache, "Folder for decoded pictures and sound (default: the run's own)")
      .type_name("FOLDER");
  app.add_option("--precision", arguments->precision, "auto: what the run trained with").type_name(kPrecisions);
  add_threads_option(app, arguments->threads);
  add_device_option(app, arguments->device);
  add_per_byte_options(app, arguments->per_byte);
  add_output_options(app, arguments->output);
  app.add_example(
      "longstride evaluate runs/first --data README.md --min-context 256\n"
      "  longstride evaluate runs/first --data README.md --page page.html");
  return {app,
          [arguments] {
            const std::atomic<bool>* stop = stop_on_signals();
            return run_together("evaluate", stop,
                                [&](const Launched& launched) { return run(*arguments, launched, stop); });
          },
          true};
}

}  // namespace longstride::program
