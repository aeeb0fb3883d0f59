// RUN/ on disk (interface.md, section 3): what is in it is there whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longstride/config.h"

namespace longstride {

class RunDirectory {
 public:
  // Makes an empty run with its config.json. Error invalid_argument where `path` holds something and `overwrite` is
  // false, or where it holds what is no run; exhausted where the system refuses.
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

  void save_sample(std::int64_t step, const std::string& bytes) const;

 private:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace longstride
