// This makes a run's folder, refuses one that is taken, and keeps its checkpoints to the number that was asked for.
#include "train/run_directory.h"

#include <algorithm>
#include <filesystem>

#include "io/file.h"
#include "longstride/error.h"
#include "model/checkpoint.h"

namespace longstride {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfigFile = "config.json";

[[noreturn]] void refuse(const std::string& path, const std::error_code& error) {
  throw Error(ErrorKind::exhausted, "train: cannot write in \"" + path + "\": " + error.message());
}

void make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) refuse(path, error);
}

// Removes what a run consists of and leaves anything else in the folder alone.
void remove_run(const std::string& path) {
  for (const char* name : {"best", "checkpoints", "samples", "tensorboard", "log.jsonl", kConfigFile}) {
    std::error_code error;
    fs::remove_all(path + "/" + name, error);
    if (error) refuse(path, error);
  }
}

}  // namespace

void RunDirectory::check_place(const std::string& path, bool overwrite) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status))
    throw Error(ErrorKind::invalid_argument, "--out: \"" + path + "\" is a file; name a folder that is new or empty");
  const bool run = fs::exists(path + "/" + kConfigFile);
  if (run && !overwrite)
    throw Error(ErrorKind::invalid_argument,
                "--out: \"" + path + "\" holds a run already; --resume goes on with it, --overwrite replaces it");
  for (fs::directory_iterator entry(path, error), end; !run && !error && entry != end; entry.increment(error)) {
    if (entry->path() == cache_path(path)) continue;
    throw Error(ErrorKind::invalid_argument,
                "--out: \"" + path + "\" holds other files; name a folder that is new or empty");
  }
  if (error) refuse(path, error);
}

RunDirectory RunDirectory::create(const std::string& path, const Config& config, bool overwrite) {
  check_place(path, overwrite);
  if (fs::exists(path)) remove_run(path);
  make_directory(path + "/checkpoints");
  make_directory(path + "/samples");
  make_directory(path + "/tensorboard");
  RunDirectory run(path);
  write_file_atomically(path + "/" + kConfigFile, write_config(config));
  return run;
}

RunDirectory RunDirectory::open(const std::string& path) {
  if (!fs::exists(path + "/" + kConfigFile))
    throw Error(ErrorKind::invalid_argument,
                "--resume: \"" + path + "\" holds no run (no config.json); start one without --resume");
  make_directory(path + "/samples");
  make_directory(path + "/tensorboard");
  return RunDirectory(path);
}

Config RunDirectory::config() const {
  const std::string file = path_ + "/" + kConfigFile;
  return read_config({read_text(file)}, {file}, {});
}

std::vector<std::int64_t> RunDirectory::checkpoints() const {
  std::vector<std::int64_t> steps;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ + "/" + kCheckpointFolder, error)) {
    const std::string name = entry.path().filename().string();
    const bool digits = !name.empty() && name.size() < 19 &&
                        std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
    if (digits && fs::exists(entry.path() / kModelFile)) steps.push_back(std::stoll(name));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string RunDirectory::checkpoint_path(std::int64_t step) const {
  return path_ + "/" + kCheckpointFolder + "/" + checkpoint_name(step);
}

void RunDirectory::save_checkpoint(std::int64_t step, const std::function<void(const std::string&)>& write) {
  const std::string path = checkpoint_path(step);
  const std::string aside = begin_directory(path);
  try {
    write(aside);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    throw;
  }
  commit_directory(path);
}

void RunDirectory::set_best(std::int64_t step) {
  replace_symlink(std::string(kCheckpointFolder) + "/" + checkpoint_name(step), path_ + "/" + kBestLink);
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
    fs::rename(path, path + ".partial", error);  // so that one half removed is never taken for a checkpoint
    if (!error) fs::remove_all(path + ".partial", error);
  }
}

std::string RunDirectory::save_sample(std::int64_t step, const std::string& ending,
                                      std::span<const std::uint8_t> bytes) const {
  const std::string name = "samples/" + checkpoint_name(step) + ending;
  write_file_atomically(path_ + "/" + name, bytes);
  return name;
}

}  // namespace longstride
