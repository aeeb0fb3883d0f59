// longstride info: what runs and checkpoints are, alone or side by side, what data are before training, and what this
// machine offers.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "command.h"
#include "info_words.h"
#include "longstride/error.h"
#include "longstride/file.h"
#include "longstride/image.h"
#include "longstride/sound.h"
#include "options.h"
#include "output.h"
#include "output_file.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

struct InfoOptions {
  std::vector<std::string> runs;
  std::optional<std::string> checkpoint;
  std::string window;
  ConfigOptions data;
  OutputOptions output;
};

// A folder that goes when this does, for decoded data that are looked at once.
class PassingFolder {
 public:
  PassingFolder() {
    const char* named = std::getenv("TMPDIR");
    const std::string place = named != nullptr && *named != '\0' ? named : "/tmp";
    path_ = place + "/longstride-info-XXXXXX";
    if (::mkdtemp(path_.data()) != nullptr) return;
    throw Error(ErrorKind::exhausted,
                fmt::format("cannot make a folder for decoded data in \"{}\": {}; TMPDIR names another, and --set "
                            "data.cache=FOLDER one that stays",
                            place, std::strerror(errno)));
  }
  ~PassingFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  PassingFolder(const PassingFolder&) = delete;
  PassingFolder& operator=(const PassingFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write_window(const DataPreview& preview, const std::string& path) {
  const DataConfig& data = preview.data;
  if (data.kind == "image") {
    write_png(token_picture(data, preview.window), path);
  } else if (data.kind == "sound") {
    WavWriter wav(path, data.sample_rate);
    wav.append(token_sound(data, preview.window).samples);
    wav.sync();
  } else {
    write_file_atomically(path, std::span<const std::uint8_t>(preview.window));
  }
}

void show_data(const InfoOptions& options) {
  if (!options.runs.empty()) throw_invalid("RUN and --data: info is about one of them, got both");
  Config config = read_options(options.data);
  keep_json_alone("--window", options.window, options.output.json);
  if (!options.window.empty())
    check_output("--window", options.window, form_of(find_kind(config.data)), options.data.data);
  std::optional<PassingFolder> folder;
  if (config.data.cache.empty() && find_kind(config.data) != "text") config.data.cache = folder.emplace().path();
  const DataPreview preview = preview_data(config, stop_on_signals(), [&](const std::string& note) {
    if (!options.output.quiet) say(message("info", note) + "\n");
  });
  if (!options.window.empty()) write_window(preview, options.window);
  if (options.output.json) {
    print_json(preview_json(preview, options.window));
  } else {
    print_words(preview_words(preview, options.window));
  }
}

void show_runs(const InfoOptions& options) {
  std::vector<NamedRun> runs;
  for (const std::string& run : options.runs) {
    const std::string checkpoint = chosen_checkpoint({run, options.checkpoint}, [&](const std::string& sentence) {
      if (!options.output.quiet) say(message("info", sentence) + "\n");
    });
    runs.push_back({run, describe_checkpoint(run, checkpoint), checkpoint_steps(run), missing_best(run)});
  }
  const bool one = runs.size() == 1;
  if (options.output.json) {
    print_json(one ? run_json(runs.front()) : comparison_json(runs));
  } else {
    print_words(one ? run_words(runs.front()) : comparison_words(runs));
  }
}

void show_machine(const InfoOptions& options) {
  if (options.output.json) {
    print_json(machine_json());
  } else {
    print_words(machine_words());
  }
}

int run(const InfoOptions& options) {
  if (options.runs.empty() && options.checkpoint) throw_invalid("--checkpoint: is one of a RUN; give that too");
  if (!options.data.data.empty()) {
    show_data(options);
    return 0;
  }
  if (!options.window.empty()) throw_invalid("--window: is a window of --data; give that too");
  if (!options.data.sets.empty()) throw_invalid("--set: says how --data is read; give that too");
  if (!options.runs.empty()) {
    show_runs(options);
  } else {
    show_machine(options);
  }
  return 0;
}

}  // namespace

Command info_command(CommandLine program) {
  CommandLine app = program.add_command(
      "info", "Say what runs and checkpoints are, side by side, what data are, or what this machine offers");
  auto options = std::make_shared<InfoOptions>();
  app.add_option(
      "RUN", options->runs,
      "Run directories, checkpoint directories or .safetensors files; several are compared, none: this machine");
  app.add_option("--checkpoint", options->checkpoint, "Of run directories (default: best)")
      .type_name("best|latest|STEP");
  app.add_option("--data", options->data.data, "Files and folders, looked at as training would read them")
      .type_name("PATH");
  app.add_option("--set", options->data.sets, "How --data is read, e.g. data.image_size=[64,64]")
      .type_name("KEY=VALUE")
      .one_value_each_time();
  app.add_option("--window", options->window, "Write the first window of --data: text, a PNG or a WAV")
      .type_name("FILE");
  add_output_options(app, options->output);
  app.add_example(
      "longstride info\n  longstride info runs/first\n  longstride info runs/first runs/second\n"
      "  longstride info --data README.md");
  return {app, [options] { return run(*options); }};
}

}  // namespace longstride::program
