// RUN/ on disk (docs/files.md): what is in it is there whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/file.h"
#include "io/run_parts.h"
#include "io/system.h"
#include "longstride/config.h"

namespace longstride {

// Held against other processes as long as it lives: whoever trains in RUN is the only one to write there.
class RunDirectory {
 public:
  // Decoded data of the run at `path`: stays where a run is replaced, and may be there before the run is.
  static std::string cache_path(const std::string& path) { return path + "/" + kDecodedFolder; }
  static std::string checkpoint_of(const std::string& path, std::int64_t step);
  // Throws where data that were named lie in what a run at `path` writes itself. Error invalid_argument.
  static void check_data(const std::string& path, const std::vector<std::string>& data);
  // Throws where the weights that a run begins with lie in the run at `path`, which it would replace. Error
  // invalid_argument.
  static void check_initial_weights(const std::string& path, const std::string& init);

  // A place for a new run: nothing, an empty folder, what an interrupted start left, or with `overwrite` a run. Nothing
  // in it changes before begin(), and a folder that was made for it goes with it where begin() is not called.
  // Errors: invalid_argument where the place is no such thing or another process trains there; exhausted where the
  // system refuses.
  static RunDirectory claim(const std::string& path, bool overwrite);
  void begin(const Config& config);  // makes an empty run with its config.json

  // One that is there, without what killed processes left: it has a config.json, or checkpoints that know what was in
  // it. Errors: invalid_argument where there is none, another process trains it, or a part of it is no part of a run
  // (train/whole_run.h); corrupt_data where it has lost its checkpoints. Then nothing was changed.
  static RunDirectory open(const std::string& path);

  // Throws where the folder has been removed or renamed meanwhile, or another one lies in its place: what was written
  // there would be half a run, or in somebody else's. Error exhausted.
  void require_place() const;

  const std::string& path() const { return path_; }
  std::string config_path() const { return path_ + "/" + kConfigFile; }
  Config config() const;
  void write_config(const Config& config) const;
  std::string log_path() const { return path_ + "/" + kLogFile; }
  std::string tensorboard_path() const { return path_ + "/" + kEventFolder; }

  // Steps of the checkpoints, ascending: all that have a name of ours, and those that have a model in them.
  std::vector<std::int64_t> named_checkpoints() const;
  std::vector<std::int64_t> checkpoints() const;
  std::string checkpoint_path(std::int64_t step) const { return checkpoint_of(path_, step); }
  // `write` fills a directory aside, which then takes its place as the checkpoint of `step`.
  void save_checkpoint(std::int64_t step, const std::function<void(const std::string& directory)>& write);
  // Renames a damaged one, so that it counts as none and yet is there to look at. Returns its new name.
  std::string set_aside(std::int64_t step);
  // Removes all but the last `keep` and the best. keep < 1: keeps all.
  void rotate(std::int64_t keep, std::int64_t best_step);

  // The link is a convenience: the state of the newest checkpoint says which one is the best. Returns why it could not
  // be made; empty where it could. What copies of a run have in its place is replaced: a folder that holds a model, a
  // file of the link's text. Anything else there is somebody's, and stays.
  std::string set_best(std::int64_t step);
  bool has_best_folder() const;  // with a model, in place of the link
  void unset_best();             // removes the link

  // Returns its name below path().
  std::string save_sample(std::int64_t step, const std::string& ending, std::span<const std::uint8_t> bytes) const;

 private:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  void require_lock() const;  // throws invalid_argument where another process has it
  void remove_leftovers() const;

  std::string path_;
  std::unique_ptr<Descriptor> lock_;  // of the directory itself
  std::unique_ptr<NewFolder> made_;   // for claim, else null; goes while the lock is still held, so that nobody has it
};

}  // namespace longstride
