// longstride sample RUN: tokens as they are made, and what becomes of them by what the model has learned from.
#include "longstride/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "choice.h"
#include "command.h"
#include "longstride/checkpoint.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "sample_begin.h"
#include "sample_output.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

struct SampleArguments {
  RunOptions run;
  OutputOptions output;
  SampleOptions what;
  BeginOptions begin;
  ChoiceOptions choice;
  ShowOptions show;
  std::string out, precision = "float32", device = "auto";
  std::int64_t threads = 0;
  std::optional<std::int64_t> count;
};

// tokens counts the new ones.
nlohmann::ordered_json to_json(const SampleArguments& arguments) {
  nlohmann::ordered_json json;
  json["run"] = arguments.run.run;
  json["checkpoint"] = arguments.run.checkpoint;
  json["tokens"] = arguments.what.tokens;
  json["temperature"] = arguments.what.temperature;
  json["seed"] = arguments.what.seed;
  return json;
}

std::unique_ptr<SampleOutput> make_output(const SampleTask& task) {
  if (task.data.kind == "image") return make_picture_output(task);
  return task.data.kind == "sound" ? make_sound_output(task) : make_text_output(task);
}

// "500 tokens", "16 pictures", "10.0 s of sound": what is being made.
std::string amount_words(const SampleOptions& options, const DataConfig& data) {
  const std::string times = options.count > 1 ? fmt::format("{} x ", options.count) : "";
  if (data.kind == "image") return options.count > 1 ? fmt::format("{} pictures", options.count) : "a picture";
  if (data.kind != "sound") return fmt::format("{}{} tokens", times, with_commas(options.tokens));
  return fmt::format("{}{:.1f} s of sound", times,
                     static_cast<double>(options.tokens) / static_cast<double>(data.sample_rate));
}

int run(SampleArguments& arguments) {
  apply_threads(arguments.threads);
  SampleOptions& options = arguments.what;
  options.precision = parse_precision(arguments.precision);
  options.device = parse_device(arguments.device);
  options.run = arguments.run.run;
  options.checkpoint = arguments.run.checkpoint;
  const Config config = checkpoint_config(options.run, options.checkpoint);
  const DataConfig& data = config.data;
  const Beginning beginning = read_beginning(arguments.begin, config);
  options.prompts = beginning.prompts;
  options.count = arguments.count.value_or(std::max<std::int64_t>(1, std::ssize(options.prompts)));
  options.tokens = new_tokens(arguments.begin, data, beginning);
  const std::string choice = settle_choice(arguments.choice, data, options);
  options.stop = stop_on_signals();
  ProgressLine line(arguments.output.quiet);
  const std::unique_ptr<SampleOutput> output = make_output(
      {options, data, beginning.original, arguments.out, arguments.output.json, arguments.show, line});
  const std::string amount = amount_words(options, data);
  Pace pace(static_cast<double>(options.tokens) * static_cast<double>(options.count));
  options.made = [&](std::int64_t sequence, std::uint8_t token) {
    output->made(sequence, token);
    pace.add();
    if (output->streams() || !line.due()) return;
    if (const std::string words = pace.words(); !words.empty()) line.show(amount + ": " + words);
  };
  options.noted = [&](const std::string& sentence) {
    line.print((output->streams() ? "\nlongstride sample: " : "longstride sample: ") + escaped(sentence));
  };
  std::vector<std::vector<double>> chosen;  // ln p of each new token
  if (arguments.output.json && data.kind != "image" && data.kind != "sound")
    options.chosen = [&](std::int64_t sequence, double log_probability) {
      chosen.resize(std::max(chosen.size(), static_cast<std::size_t>(sequence) + 1));
      chosen[static_cast<std::size_t>(sequence)].push_back(log_probability);
    };
  const Sequences sequences = sample(options);
  const bool interrupted = options.stop->load();
  output->finish(sequences, interrupted);
  line.finish();
  if (!choice.empty()) line.print("longstride sample: " + choice);
  if (interrupted) line.print(fmt::format("longstride sample: interrupted; {}", output->left()));
  if (arguments.output.json && !interrupted) {
    nlohmann::ordered_json json = to_json(arguments);
    output->tell(json, sequences);
    for (std::size_t at = 0; at < chosen.size(); ++at) json["samples"][at]["log_probabilities"] = chosen[at];
    print_json(json);
  }
  return interrupted ? kInterrupted : 0;
}

}  // namespace

Command sample_command(CommandLine program) {
  CommandLine app = program.add_command(
      "sample", "Let a model make text, pictures or sound; what is given comes first, then what is made of it");
  auto arguments = std::make_shared<SampleArguments>();
  add_run_options(app, arguments->run);
  add_begin_options(app, arguments->begin);
  add_choice_options(app, arguments->choice, arguments->what);
  app.add_option("--count", arguments->count, "Samples, made side by side (default: one a prompt)").type_name("K");
  app.add_option("--out", arguments->out,
                 "Write a file (several: numbered ones beside it, pictures also a grid), or into a folder; without it "
                 "text goes to standard output, pictures to sample.png, sound to sample.wav")
      .type_name("PATH");
  app.add_option("--precision", arguments->precision,
                 "float32 (greedy is the argmax of the model as stored), bfloat16 (faster, rounded) or auto (bfloat16 "
                 "where the machine multiplies it natively)")
      .type_name(kPrecisions)
      .capture_default_str();
  add_threads_option(app, arguments->threads);
  add_device_option(app, arguments->device);
  app.add_flag("--exact", arguments->what.exact,
               "Read long prompts to the bits of reading them token by token; slower");
  add_show_options(app, arguments->show);
  add_output_options(app, arguments->output);
  app.add_example(
      "longstride sample runs/first --prompt '#include <' --temperature 0.8 --tokens 500\n"
      "  longstride sample runs/pictures --prime photo.jpg --keep 0.5 --count 6 --out completed.png\n"
      "  longstride sample runs/music --prime song.flac --keep 5s --tokens 30s --out continued.wav");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace longstride::program
