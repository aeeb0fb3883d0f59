// Which file a run, a checkpoint directory or a path means. Rule: only complete checkpoints count; a directory that was
// not renamed yet (*.partial) is as if it were not there.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/system.h"
#include "longstride/error.h"
#include "model/checkpoint.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

struct Saved {
  std::int64_t step = 0;
  fs::path model;
};

// The complete checkpoints of a run, ascending by step. Training may remove one after its name was read, when it has
// made another: where none is left of those that were named, the folder is read again.
std::vector<Saved> saved_checkpoints(const fs::path& run) {
  constexpr int kMostTries = 100;
  std::vector<Saved> saved;
  const fs::path folder = run / kCheckpointFolder;
  bool removed = true;
  for (int tries = 0; saved.empty() && removed && tries < kMostTries; ++tries) {
    removed = false;
    for (const std::string& name : names_in(folder.string())) {
      const std::optional<std::int64_t> step = step_of_name(name);
      const fs::path model = folder / name / kModelFile;
      if (!step) continue;
      if (is_there(model.string())) saved.push_back({*step, model});
      removed = removed || !is_there((folder / name).string());
    }
  }
  std::sort(saved.begin(), saved.end(), [](const Saved& a, const Saved& b) { return a.step < b.step; });
  return saved;
}

std::string steps_text(const std::vector<Saved>& saved) {
  std::vector<std::int64_t> steps;
  for (const Saved& checkpoint : saved) steps.push_back(checkpoint.step);
  return fmt::format("{}", fmt::join(steps, ", "));
}

// The best step that the state beside a model knows of; nothing where there is no state, or none that was validated.
// Error where it is damaged or another model's. linked: what the link says. Where the two agree the state is believed
// without reading all of it.
std::optional<std::int64_t> best_step_beside(const fs::path& model, std::optional<std::int64_t> linked) {
  const fs::path path = model.parent_path() / kTrainingStateFile;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  const SafetensorsFile state(path.string());
  check_together(SafetensorsFile(model.string()), state);
  const auto found = state.metadata().find("best_step");
  const std::string text = found == state.metadata().end() ? "" : found->second;
  const std::optional<std::int64_t> step = parse_step(text);
  if (text != "-1" && (!step || step != linked)) state.verify();
  return step;
}

[[noreturn]] void throw_none(const fs::path& run) {
  throw_invalid(fmt::format("run \"{}\" has no complete checkpoint yet", run.string()));
}

struct Best {
  fs::path model;
  std::optional<std::int64_t> gone;  // the best step where it is known and not there
};

// What the newest state that knows says is true; the link is for people and may be missing, behind, or a folder, as
// copying makes one of it. Where nothing was validated the latest is all there is.
Best find_best(const fs::path& run, const std::vector<Saved>& saved) {
  std::error_code error;
  const fs::path target = fs::read_symlink(run / kBestLink, error);
  const std::optional<std::int64_t> linked = step_of_name(target.filename().string());
  const fs::path best = target.empty() ? run / kBestLink : target.is_absolute() ? target : run / target;
  const bool leads = fs::is_regular_file(best / kModelFile, error);
  // The link is made when its checkpoint is there: one that names a later step than all that are knows of one that
  // went.
  std::optional<std::int64_t> gone;
  if (linked && !leads && (saved.empty() || *linked > saved.back().step)) gone = linked;
  for (auto newest = saved.rbegin(); newest != saved.rend(); ++newest) {
    std::optional<std::int64_t> step;
    try {
      step = best_step_beside(newest->model, linked);
    } catch (const Error&) {  // the link knows more than an older state, unless it names what is gone
      step = linked;
    }
    if (!step) continue;
    for (const Saved& checkpoint : saved)
      if (checkpoint.step == *step) return {checkpoint.model, gone};
    gone = gone ? gone : step;
    break;
  }
  if (leads) return {best / kModelFile, std::nullopt};
  if (saved.empty()) throw_none(run);
  return {saved.back().model, gone ? gone : linked};
}

std::string find_in_run(const fs::path& run, const std::string& which) {
  const std::vector<Saved> saved = saved_checkpoints(run);
  if (which == "best") return find_best(run, saved).model.string();
  if (saved.empty()) throw_none(run);
  if (which == "latest") return saved.back().model.string();
  const std::optional<std::int64_t> step = parse_step(which);
  if (!step) {
    const std::optional<std::string> likely = likely_word(which, {"best", "latest"});
    throw_invalid(fmt::format("--checkpoint: needs best, latest or a step, got \"{}\"{}", which,
                              likely ? "; the nearest is " + *likely : ""));
  }
  for (const Saved& checkpoint : saved) {
    if (checkpoint.step == *step) return checkpoint.model.string();
  }
  throw_invalid(
      fmt::format("--checkpoint: run \"{}\" has none of step {}; it has {}", run.string(), *step, steps_text(saved)));
}

}  // namespace

std::optional<std::int64_t> parse_step(const std::string& text) {
  std::int64_t step = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size() || step < 0) return std::nullopt;
  return step;
}

std::optional<std::int64_t> step_of_name(const std::string& name) {
  const std::optional<std::int64_t> step = parse_step(name);
  return step && checkpoint_name(*step) == name ? step : std::nullopt;
}

std::string other_checkpoints_words(const std::string& model_path) {
  std::error_code ignored;
  const fs::path checkpoint = fs::weakly_canonical(model_path, ignored).parent_path();
  if (checkpoint.parent_path().filename() != kCheckpointFolder) return "";
  std::vector<Saved> others = saved_checkpoints(checkpoint.parent_path().parent_path());
  std::erase_if(others, [&](const Saved& saved) { return saved.model.parent_path() == checkpoint; });
  return others.empty() ? "" : fmt::format("; --checkpoint takes others of the run: {}", steps_text(others));
}

std::vector<std::int64_t> checkpoint_steps(const std::string& run) {
  std::vector<std::int64_t> steps;
  if (!is_there((fs::path(run) / kCheckpointFolder).string())) return steps;
  for (const Saved& saved : saved_checkpoints(run)) steps.push_back(saved.step);
  return steps;
}

std::optional<std::int64_t> missing_best(const std::string& run) {
  if (!is_there((fs::path(run) / kCheckpointFolder).string())) return std::nullopt;
  // Training may make another the best while names are read: it is missing where it is so twice.
  const auto gone = [&] { return find_best(run, saved_checkpoints(run)).gone; };
  const std::optional<std::int64_t> step = gone();
  return step && step == gone() ? step : std::nullopt;
}

std::string find_checkpoint(const std::string& run, const std::string& which) {
  const fs::path path(run);
  if (!is_there(run)) {
    throw_invalid(
        fmt::format("\"{}\" does not exist; name a run directory, a checkpoint directory or a .safetensors file", run));
  }
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status) && is_there((path / kCheckpointFolder).string())) return find_in_run(path, which);
  if (which != "best" && which != "latest") {
    throw_invalid(fmt::format("--checkpoint: chooses within a run directory, and \"{}\" is none; leave it out", run));
  }
  if (!fs::is_directory(status)) return run;
  if (is_there((path / kModelFile).string())) return (path / kModelFile).string();
  throw_invalid(
      fmt::format("\"{}\" is neither a run directory (it has no {}/) nor a checkpoint directory (it has no {})", run,
                  kCheckpointFolder, kModelFile));
}

}  // namespace longstride
