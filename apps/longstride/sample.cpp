// longstride sample RUN: tokens as they are made, and what becomes of them by what the model has learned from.
#include "longstride/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "choice.h"
#include "command.h"
#include "longstride/checkpoint.h"
#include "longstride/device.h"
#include "options.h"
#include "output.h"
#include "output_file.h"
#include "processes.h"
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
  std::string checkpoint;  // the file that is found
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
  json["checkpoint"] = arguments.checkpoint;
  json["tokens"] = arguments.what.tokens;
  json["temperature"] = arguments.what.temperature;
  json["seed"] = arguments.what.seed;
  return json;
}

std::unique_ptr<SampleOutput> make_output(const SampleTask& task) {
  keep_json_alone("--out", task.out, task.json);
  if (task.data.kind == "image") return make_picture_output(task);
  return task.data.kind == "sound" ? make_sound_output(task) : make_text_output(task);
}

// "500 tokens", "16 pictures", "10.0 s of sound": what is being made.
std::string amount_words(const SampleOptions& options, const DataConfig& data) {
  const std::string times = options.count > 1 ? fmt::format("{} x ", options.count) : "";
  if (data.kind == "image") return options.count > 1 ? counted(options.count, "picture") : "a picture";
  if (data.kind != "sound") return times + counted(options.tokens, "token");
  return fmt::format("{}{:.1f} s of sound", times,
                     static_cast<double>(options.tokens) / static_cast<double>(data.sample_rate));
}

// The threads of a process, where those that make no sequence leave theirs to the others.
void share_threads(Launched launched, std::int64_t threads, std::int64_t count) {
  if (count < launched.size)
    launched.cores = static_cast<int>(
        std::min<std::int64_t>(machine_info().threads, std::int64_t{launched.cores} * launched.size / count));
  apply_threads(share_of_threads(launched, threads));
}

// All processes make sequences; the first one writes them.
int run(SampleArguments& arguments, const Launched& launched, const std::atomic<bool>* stop) {
  const bool first = launched.rank == 0;
  SampleOptions& options = arguments.what;
  options.world = launched.world.get();
  options.precision = parse_precision(arguments.precision);
  options.device = parse_device(arguments.device);
  options.run = arguments.run.run;
  ProgressLine line(arguments.output.quiet || !first);
  const auto note = [&](const std::string& sentence) { line.print(message("sample", sentence)); };
  options.checkpoint = chosen_checkpoint(arguments.run, note);
  arguments.checkpoint = find_checkpoint(options.run, options.checkpoint);
  const Config config = checkpoint_config(options.run, options.checkpoint);
  const DataConfig& data = config.data;
  read_standard_input(arguments.begin, launched);
  const Beginning beginning = read_beginning(arguments.begin, config);
  options.prompts = beginning.prompts;
  options.count = arguments.count.value_or(std::max<std::int64_t>(1, std::ssize(options.prompts)));
  options.tokens = new_tokens(arguments.begin, data, beginning);
  share_threads(launched, arguments.threads, std::max<std::int64_t>(1, options.count));
  std::string choice = settle_choice(arguments.choice, data, options);
  options.stop = stop;
  if (!first) return was_interrupted(options, sample(options)) ? kInterrupted : 0;
  const std::vector<std::string> inputs = {arguments.begin.prime, arguments.checkpoint};
  const std::unique_ptr<SampleOutput> output =
      make_output({options, data, beginning.original, arguments.out, inputs, arguments.output.json, arguments.show,
                   line, launched.size == 1});
  const std::string amount = amount_words(options, data);
  const std::int64_t own = (options.count + launched.size - 1) / launched.size;  // the others are as far as these
  Pace pace(static_cast<double>(options.tokens) * static_cast<double>(own),
            static_cast<double>(options.count) / static_cast<double>(own));
  const auto say_choice = [&] {  // once, before the first token, when all is known to be well
    if (!choice.empty()) line.print(message("sample", std::exchange(choice, "")));
  };
  options.made = [&](std::int64_t sequence, std::uint8_t token) {
    say_choice();
    output->made(sequence, token);
    if (sequence >= own) return;
    pace.add();
    if (output->streams() || !line.due()) return;
    if (const std::string words = pace.words(); !words.empty()) line.show(amount + ": " + words);
  };
  options.noted = note;
  std::vector<std::vector<double>> chosen;  // ln p of each new token
  if (arguments.output.json && is_text(data))
    options.chosen = [&](std::int64_t sequence, double log_probability) {
      chosen.resize(std::max(chosen.size(), static_cast<std::size_t>(sequence) + 1));
      chosen[static_cast<std::size_t>(sequence)].push_back(log_probability);
    };
  const Sequences sequences = sample(options);
  const bool interrupted = was_interrupted(options, sequences);
  output->finish(sequences, interrupted);
  line.finish();
  if (interrupted) line.print(message("sample", "interrupted; " + output->left()));
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
  add_choice_options(app, arguments->choice, arguments->what, "0.8 for text, 1 for pictures, 0.9 for sound");
  app.add_option("--count", arguments->count, "Samples, made side by side (default: one a prompt)").type_name("K");
  app.add_option("--out", arguments->out,
                 "Write a file (several: numbered ones beside it, pictures also a grid), or into a folder; without it, "
                 "or with -, text goes to standard output; without it pictures to sample.png, sound to sample.wav")
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
  return {app,
          [arguments] {
            const std::atomic<bool>* stop = stop_on_signals();
            return run_together("sample", stop,
                                [&](const Launched& launched) { return run(*arguments, launched, stop); });
          },
          true};
}

}  // namespace longstride::program
