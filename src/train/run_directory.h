// RUN/ on disk (docs/files.md): what is in it is there whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "longstride/config.h"

namespace longstride {

class RunDirectory {
 public:
  // Where a run may be made: nothing, an empty folder, or with `overwrite` a run. Error invalid_argument otherwise.
  static void check_place(const std::string& path, bool overwrite);
  // Decoded data of the run at `path`: stays where a run is replaced, and may be there before the run is.
  static std::string cache_path(const std::string& path) { return path + "/cache"; }
  // Makes an empty run with its config.json. Errors: as check_place; exhausted where the system refuses.
  static RunDirectory create(const std::string& path, const Config& config, bool overwrite);
  // One that is there. Error invalid_argument where there is none.
  static RunDirectory open(const std::string& path);

  const std::string& path() const { return path_; }
  Config config() const;
  std::string log_path() const { return path_ + "/log.jsonl"; }
  std::string tensorboard_path() const { return path_ + "/tensorboard"; }

  // Steps of the complete checkpoints, ascending.
  std::vector<std::int64_t> checkpoints() const;
  std::string checkpoint_path(std::int64_t step) const;
  // `write` fills a directory aside, which then takes its place as the checkpoint of `step`.
  void save_checkpoint(std::int64_t step, const std::function<void(const std::string& directory)>& write);
  void set_best(std::int64_t step);
  // Removes all but the last `keep` and the best. keep < 1: keeps all.
  void rotate(std::int64_t keep, std::int64_t best_step);

  // Returns its name below path().
  std::string save_sample(std::int64_t step, const std::string& ending, std::span<const std::uint8_t> bytes) const;

 private:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace longstride
