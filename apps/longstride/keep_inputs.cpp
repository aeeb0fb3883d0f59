// This refuses to write over what is read.
#include "keep_inputs.h"

#include <filesystem>
#include <system_error>

#include "longstride/error.h"

namespace longstride::program {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const char* option, const std::string& path, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, std::string(option) + ": \"" + path + "\" " + what + "; name another file");
}

}  // namespace

void keep_inputs(const char* option, const std::string& path, const std::vector<std::string>& inputs,
                 const std::string& run) {
  std::error_code error;
  if (path.empty() || !fs::exists(path, error) || fs::is_directory(path, error)) return;
  // "" and "..": outside; ".": the same file; else what of `folder` it lies in.
  const auto part_of = [&, to = fs::weakly_canonical(path, error)](const std::string& folder) {
    const fs::path within = to.lexically_relative(fs::weakly_canonical(folder, error));
    return within.empty() ? std::string() : within.begin()->string();
  };
  for (const std::string& input : inputs) {
    if (input.empty()) continue;
    const std::string part = part_of(input);
    if (fs::equivalent(path, input, error) || (!part.empty() && part != "..")) refuse(option, path, "is what is read");
  }
  if (run.empty()) return;
  const std::string part = part_of(run);
  for (const std::string own : {".", "checkpoints", "config.json", "log.jsonl", "tensorboard"})
    if (part == own) refuse(option, path, "belongs to the run");
}

}  // namespace longstride::program
