// longstride sample RUN: text as it is made, bytes untouched.
#include "longstride/sample.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "longstride/error.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "signals.h"

namespace longstride::program {
namespace {

using Sequences = std::vector<std::vector<std::uint8_t>>;

struct SampleArguments {
  RunOptions run;
  OutputOptions output;
  SampleOptions what;
  std::string prime, prompt, out, precision = "float32";
  std::int64_t threads = 0;
};

std::string_view text_of(const std::vector<std::uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string hex(const std::vector<std::uint8_t>& bytes) {
  std::string digits;
  for (const std::uint8_t byte : bytes) digits += fmt::format("{:02x}", byte);
  return digits;
}

// tokens counts the new ones; text has U+FFFD for what is no UTF-8, hex has every byte; both begin with the prompt.
nlohmann::ordered_json to_json(const SampleArguments& arguments, const Sequences& sequences) {
  nlohmann::ordered_json json;
  json["run"] = arguments.run.run;
  json["checkpoint"] = arguments.run.checkpoint;
  json["tokens"] = arguments.what.tokens;
  json["seed"] = arguments.what.seed;
  json["samples"] = nlohmann::ordered_json::array();
  for (const std::vector<std::uint8_t>& bytes : sequences) {
    json["samples"].push_back({{"text", std::string(text_of(bytes))}, {"hex", hex(bytes)}});
  }
  return json;
}

void read_prompt(SampleArguments& arguments) {
  if (!arguments.prime.empty() && !arguments.prompt.empty()) {
    throw Error(ErrorKind::invalid_argument, "--prime and --prompt: a sample begins with one of them, got both");
  }
  const std::string text = arguments.prime.empty() ? arguments.prompt : read_file(arguments.prime);
  arguments.what.prompt.assign(text.begin(), text.end());
}

// Where sequence `index` of several goes: into a folder that is there, or beside PATH with a number.
std::string numbered(const std::string& path, std::size_t index) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path given(path);
  if (fs::is_directory(given, error) || path.ends_with('/')) {
    fs::create_directories(given, error);
    return (given / fmt::format("{:03}.txt", index + 1)).string();
  }
  return (given.parent_path() / fmt::format("{}-{:03}{}", given.stem().string(), index + 1, given.extension().string()))
      .string();
}

void write_files(const std::string& path, const Sequences& sequences) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error) || path.ends_with('/');
  if (sequences.size() == 1 && !folder) return write_file(path, text_of(sequences.front()));
  for (std::size_t index = 0; index < sequences.size(); ++index) {
    write_file(numbered(path, index), text_of(sequences[index]));
  }
}

// The first sequence streams while the others are made beside it; they follow when it ends. What separates them goes to
// standard error, so that standard output has the bytes of the samples and no other.
void print_rest(const Sequences& sequences, ProgressLine& line) {
  for (std::size_t index = 1; index < sequences.size(); ++index) {
    line.print(fmt::format("\n--- sample {} of {} ---", index + 1, sequences.size()));
    print(text_of(sequences[index]));
  }
  if (::isatty(STDOUT_FILENO) == 1) print("\n");
}

int run(SampleArguments& arguments) {
  apply_threads(arguments.threads);
  read_prompt(arguments);
  SampleOptions& options = arguments.what;
  options.precision = parse_precision(arguments.precision);
  options.run = arguments.run.run;
  options.checkpoint = arguments.run.checkpoint;
  options.stop = stop_on_signals();
  ProgressLine line(arguments.output.quiet);
  const bool streams = !arguments.output.json && arguments.out.empty();
  std::int64_t made = 0;
  options.made = [&](std::int64_t sequence, std::uint8_t token) {
    if (sequence != 0) return;
    if (streams && made == 0) print(text_of(options.prompt));
    ++made;
    if (streams) {
      print(std::string_view(reinterpret_cast<const char*>(&token), 1));
    } else {
      line.show(fmt::format("{} of {} tokens", made, options.tokens));
    }
  };
  options.noted = [&](const std::string& sentence) {
    line.print((streams ? "\nlongstride sample: " : "longstride sample: ") + sentence);
  };
  if (options.count > 1 && streams) line.print(fmt::format("--- sample 1 of {} ---", options.count));
  const Sequences sequences = sample(options);
  if (streams && made == 0) print(text_of(options.prompt));
  line.finish();
  const bool interrupted = options.stop->load();
  if (streams) {
    print_rest(sequences, line);
  } else if (!arguments.out.empty() && !interrupted) {
    write_files(arguments.out, sequences);
  }
  if (arguments.output.json && !interrupted) print_json(to_json(arguments, sequences));
  return interrupted ? kInterrupted : 0;
}

void add_choice_options(CLI::App& app, SampleOptions& what) {
  app.add_option("--tokens", what.tokens, "New tokens")->type_name("N")->capture_default_str();
  app.add_option("--temperature", what.temperature, "0: greedy")->type_name("T")->capture_default_str();
  app.add_option("--top-k", what.top_k, "Choose among the K likeliest (0: off)")->type_name("K")->capture_default_str();
  app.add_option("--top-p", what.top_p, "Choose among the likeliest that make up P (1: off)")
      ->type_name("P")
      ->capture_default_str();
  app.add_option("--min-p", what.min_p, "Only tokens at least P times as likely as the likeliest (0: off)")
      ->type_name("P")
      ->capture_default_str();
  app.add_option("--seed", what.seed, "Of the choices")->type_name("S")->capture_default_str();
  app.add_option("--count", what.count, "Sequences, made side by side")->type_name("K")->capture_default_str();
}

}  // namespace

Command sample_command(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("sample", "Let a model write; the prompt comes first, then what is made of it");
  auto arguments = std::make_shared<SampleArguments>();
  add_run_options(*app, arguments->run);
  add_choice_options(*app, arguments->what);
  app->add_option("--prime", arguments->prime, "Begin with the bytes of a file")->type_name("FILE");
  app->add_option("--prompt", arguments->prompt, "Begin with a text")->type_name("TEXT");
  app->add_option("--out", arguments->out, "Write a file (several samples: numbered ones, or into a folder)")
      ->type_name("PATH");
  app->add_option("--precision", arguments->precision,
                  "float32 (greedy is the argmax of the model as stored), bfloat16 (faster, rounded) or auto (bfloat16 "
                  "where the machine multiplies it natively)")
      ->type_name("P")
      ->capture_default_str();
  add_threads_option(*app, arguments->threads);
  add_output_options(*app, arguments->output);
  add_example(*app, "longstride sample runs/first --prompt '#include <' --temperature 0.8 --tokens 500");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace longstride::program
