// This makes a run's folder, refuses one that is taken, and keeps its checkpoints to the number that was asked for.
#include "train/run_directory.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <optional>

#include "data/own_files.h"
#include "io/file.h"
#include "io/system.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "train/find_run.h"
#include "train/whole_run.h"

namespace longstride {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const std::string& path, const std::error_code& error) {
  throw Error(ErrorKind::exhausted, "train: cannot write in \"" + path + "\": " + error.message());
}

void make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) refuse(path, error);
}

std::unique_ptr<NewFolder> make_folder(const std::string& path) {
  try {
    return std::make_unique<NewFolder>(path);
  } catch (const Error& error) {
    throw Error(ErrorKind::exhausted, std::string("train: ") + error.what());
  }
}

// None of a folder that is not there, also where it goes meanwhile.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code none;
  if (!fs::is_directory(folder, none)) return found;
  try {
    for (const std::string& name : names_in(folder.string())) found.push_back(folder / name);
  } catch (const Error&) {
    if (is_there(folder.string())) throw;
  }
  return found;
}

// Whether an entry of the folder `part` of a run is what a killed process left there.
bool is_leftover(const std::string& part, const std::string& name) {
  const std::string stem = name.substr(0, name.find('.'));
  if (part == kCheckpointFolder) return step_of_name(stem) && name == stem + kPartial;
  return part == kSampleFolder && step_of_name(stem) && name.ends_with(kPartial);
}

std::vector<fs::path> leftovers(const std::string& run) {
  std::vector<fs::path> found;
  const auto add = [&](const fs::path& folder, const auto& is_left) {
    for (const fs::path& entry : entries(folder))
      if (is_left(entry.filename().string())) found.push_back(entry);
  };
  const auto of_files = [](std::initializer_list<const char*> files) {
    return [files = std::vector<std::string>(files.begin(), files.end())](const std::string& name) {
      return std::any_of(files.begin(), files.end(), [&](const auto& file) { return is_partial(name, file); });
    };
  };
  add(run, of_files({kConfigFile, kLogFile, kBestLink}));
  for (const std::string part : {kCheckpointFolder, kSampleFolder})
    add(fs::path(run) / part, [&](const std::string& name) { return is_leftover(part, name); });
  for (const fs::path& checkpoint : entries(fs::path(run) / kCheckpointFolder))
    if (step_of_name(checkpoint.filename().string())) add(checkpoint, of_files({kModelFile, kTrainingStateFile}));
  return found;
}

// Whether this can be what is there of a run that was killed before it had its config.json: our folders without any
// file that is whole.
bool is_of_interrupted_start(const fs::path& entry) {
  const std::string name = entry.filename().string();
  if (name == kDecodedFolder || is_partial(name, kConfigFile)) return true;
  if (name != kCheckpointFolder && name != kSampleFolder && name != kEventFolder) return false;
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(entry, error))) return false;
  const std::vector<fs::path> below = entries(entry);
  return std::all_of(below.begin(), below.end(),
                     [&](const fs::path& path) { return is_leftover(name, path.filename().string()); });
}

// Whether this text is that of the link to the best checkpoint.
bool is_best_target(const fs::path& target) {
  return step_of_name(target.filename().string()) && target.parent_path().filename() == kCheckpointFolder;
}

// Whether `best` of a run is the run's own: nothing yet, its link, or what a copy of the run has in the link's place.
bool is_own_best(const std::string& link) {
  constexpr std::uintmax_t kMostText = 256;
  std::error_code none;
  const fs::file_status status = fs::symlink_status(link, none);
  if (fs::is_symlink(status)) {
    const fs::path target = fs::read_symlink(link, none);
    return none || is_best_target(target);
  }
  if (fs::is_directory(status)) return fs::exists(link + "/" + kModelFile, none);
  if (!fs::is_regular_file(status)) return !fs::exists(status);
  if (fs::file_size(link, none) > kMostText) return false;
  try {
    std::string text = InputFile(link).text();
    text.erase(text.find_last_not_of('\n') + 1);
    return is_best_target(text);
  } catch (const Error&) {
    return false;  // it is not known whose it is
  }
}

void remove(const std::string& run, const std::string& name) {
  if (const std::error_code error = remove_tree(run + "/" + name)) refuse(run, error);
}

// Removes what a run consists of and leaves anything else in the folder alone. Whatever stops it, the folder holds the
// old run, which can be gone on with, or none, and from then on its checkpoints have another name until all is gone:
// never the old configuration without its checkpoints.
void remove_run(const std::string& run) {
  const std::string checkpoints = run + "/" + kCheckpointFolder;
  remove(run, kConfigFile);  // the checkpoints know what was in it
  sync_directory(run);       // or a power cut brings it back without them
  std::error_code missing, error;
  if (fs::exists(fs::symlink_status(checkpoints, missing)) && !is_there(checkpoints + kPartial))
    fs::rename(checkpoints, checkpoints + kPartial, error);
  if (error) refuse(run, error);
  sync_directory(run);
  if (is_own_best(run + "/" + kBestLink)) remove(run, kBestLink);
  for (const std::string name : {kCheckpointFolder, kSampleFolder, kEventFolder, kLogFile}) remove(run, name);
  remove(run, std::string(kCheckpointFolder) + kPartial);
}

bool is_being_replaced(const std::string& path) { return is_there(path + "/" + kCheckpointFolder + kPartial); }

void check_place(const std::string& path, bool overwrite) {
  if (const std::string owner = run_of(path); !owner.empty())
    throw Error(ErrorKind::invalid_argument,
                "--out: \"" + path + "\" belongs to the run \"" + owner + "\"; name another folder");
  if (!is_there(path, "write")) return;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    if (fs::status_known(status)) return;  // it went meanwhile
    refuse(path, error);
  }
  if (!fs::is_directory(status))
    throw Error(ErrorKind::invalid_argument, "--out: \"" + path + "\" is a file; name a folder that is new or empty");
  const std::vector<fs::path> all = entries(path);  // first: a run that begins now makes them
  if (holds_run(path)) {
    if (overwrite) return;
    throw Error(ErrorKind::invalid_argument,
                "--out: \"" + path + "\" holds a run already; --resume goes on with it, --overwrite replaces it");
  }
  if (!is_being_replaced(path) && !std::all_of(all.begin(), all.end(), is_of_interrupted_start))
    throw Error(ErrorKind::invalid_argument,
                "--out: \"" + path + "\" holds other files; name a folder that is new or empty");
}

}  // namespace

void RunDirectory::check_data(const std::string& path, const std::vector<std::string>& data) {
  const FilesOfRun of_run(path);
  for (const std::string& named : data)
    if (of_run.has_either(named))
      throw Error(ErrorKind::invalid_argument, "--data: \"" + named + "\" is written by the run \"" + path +
                                                   "\" itself; name other data or another --out");
}

void RunDirectory::check_initial_weights(const std::string& path, const std::string& init) {
  if (!init.empty() && FilesOfRun(path).has_either(init))
    throw Error(ErrorKind::invalid_argument, "--init: \"" + init + "\" belongs to the run \"" + path +
                                                 "\", which would be replaced; name another --out");
}

// Whoever made the folder and holds it takes it away again where it gives up. One that comes meanwhile may find it gone
// before it is held, or hold what lies there no more: then the folder is made anew.
RunDirectory RunDirectory::claim(const std::string& path, bool overwrite) {
  constexpr int kMostTries = 100;
  check_place(path, overwrite);
  for (int tries = 1;; ++tries) {
    RunDirectory run(path);
    run.made_ = make_folder(path);
    try {
      run.lock_ = lock_directory(path);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::invalid_argument || tries == kMostTries) throw;
      continue;
    }
    if (!run.lock_) run.made_->leave();
    run.require_lock();
    if (lies_at(*run.lock_, path) || tries == kMostTries) {
      check_place(path, overwrite);  // who held it until now may have written there
      return run;
    }
    run.made_->leave();
  }
}

void RunDirectory::begin(const Config& config) {
  remove_leftovers();
  remove_run(path_);
  for (const char* folder : {kCheckpointFolder, kSampleFolder, kEventFolder}) make_directory(path_ + "/" + folder);
  write_config(config);
  made_->keep();
}

RunDirectory RunDirectory::open(const std::string& path) {
  RunDirectory run(path);
  if (!is_there(run.config_path()) && run.checkpoints().empty())
    throw Error(ErrorKind::invalid_argument,
                "--resume: \"" + path + "\" holds no run (no config.json); start one without --resume");
  run.lock_ = lock_directory(path);
  run.require_lock();
  require_run_parts(path);
  if (run.named_checkpoints().empty()) require_none_lost(path);
  run.remove_leftovers();
  make_directory(path + "/" + kSampleFolder);
  make_directory(path + "/" + kEventFolder);
  return run;
}

void RunDirectory::require_lock() const {
  if (!lock_)
    throw Error(ErrorKind::invalid_argument, "train: run \"" + path_ + "\" is being trained by another process");
}

void RunDirectory::require_place() const {
  if (lies_at(*lock_, path_)) return;
  throw Error(ErrorKind::exhausted,
              "train: run \"" + path_ +
                  "\" was moved or removed while it was trained, and its training ends here; where " +
                  "its folder was moved, `train --resume --out PLACE` goes on from its newest checkpoint");
}

void RunDirectory::remove_leftovers() const {
  for (const fs::path& path : leftovers(path_)) remove_tree(path.string());  // what stays is in nobody's way
}

void RunDirectory::write_config(const Config& config) const {
  write_file_atomically(config_path(), longstride::write_config(config));
}

Config RunDirectory::config() const { return read_config({InputFile(config_path()).text()}, {config_path()}, {}); }

std::vector<std::int64_t> RunDirectory::named_checkpoints() const {
  std::vector<std::int64_t> steps;
  for (const fs::path& entry : entries(fs::path(path_) / kCheckpointFolder)) {
    if (const std::optional<std::int64_t> step = step_of_name(entry.filename().string())) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::vector<std::int64_t> RunDirectory::checkpoints() const {
  std::vector<std::int64_t> steps = named_checkpoints();
  std::erase_if(steps, [&](std::int64_t step) { return !is_there(checkpoint_path(step) + "/" + kModelFile); });
  return steps;
}

std::string RunDirectory::checkpoint_of(const std::string& path, std::int64_t step) {
  return path + "/" + kCheckpointFolder + "/" + checkpoint_name(step);
}

void RunDirectory::save_checkpoint(std::int64_t step, const std::function<void(const std::string&)>& write) {
  require_place();
  const std::string path = checkpoint_path(step);
  try {
    const std::string aside = begin_directory(path);
    try {
      write(aside);
    } catch (...) {
      remove_tree(aside);
      throw;
    }
    commit_directory(path);
  } catch (...) {
    require_place();  // says more than that a name is not there
    throw;
  }
}

std::string RunDirectory::set_aside(std::int64_t step) {
  const std::string path = checkpoint_path(step), aside = path + kDamaged;
  std::error_code error = remove_tree(aside);  // an earlier one of the same step
  if (!error) fs::rename(path, aside, error);
  if (error) refuse(path, error);
  sync_directory(path_ + "/" + kCheckpointFolder);
  return aside;
}

std::string RunDirectory::set_best(std::int64_t step) {
  const std::string link = path_ + "/" + kBestLink, copy = link + ".copy" + kPartial;
  const fs::path target = fs::path(kCheckpointFolder) / checkpoint_name(step);
  std::error_code none;
  if (fs::read_symlink(link, none) == target) return "";
  if (!is_own_best(link)) return "\"" + link + "\" is none of the run's and stays";
  const bool is_copy = has_best_folder();
  if (is_copy) fs::rename(link, copy, none);
  std::string problem;
  try {
    replace_symlink(target.string(), link);
  } catch (const Error& error) {
    problem = error.what();
  }
  if (is_copy) remove_tree(copy);  // it is the best no longer, with or without a link
  return problem;
}

bool RunDirectory::has_best_folder() const {
  const std::string link = path_ + "/" + kBestLink;
  std::error_code none;
  return fs::is_directory(fs::symlink_status(link, none)) && fs::exists(link + "/" + kModelFile, none);
}

void RunDirectory::unset_best() {
  std::error_code none;
  const fs::path link = path_ + "/" + kBestLink;
  if (is_best_target(fs::read_symlink(link, none))) fs::remove(link, none);
}

void RunDirectory::rotate(std::int64_t keep, std::int64_t best_step) {
  const std::vector<std::int64_t> steps = checkpoints();
  if (keep < 1) return;
  const auto count = static_cast<std::int64_t>(steps.size());
  for (std::int64_t at = 0; at + keep < count; ++at) {
    const std::int64_t step = steps[static_cast<std::size_t>(at)];
    if (step == best_step) continue;
    const std::string path = checkpoint_path(step);
    std::error_code error;
    fs::rename(path, path + kPartial, error);  // so that one half removed is never taken for a checkpoint
    if (!error) remove_tree(path + kPartial);
  }
}

std::string RunDirectory::save_sample(std::int64_t step, const std::string& ending,
                                      std::span<const std::uint8_t> bytes) const {
  const std::string name = std::string(kSampleFolder) + "/" + checkpoint_name(step) + ending;
  write_file_atomically(path_ + "/" + name, bytes);
  return name;
}

}  // namespace longstride
