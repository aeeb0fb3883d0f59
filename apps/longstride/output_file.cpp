// This refuses names of files that cannot be written, should not be, or say something else than what is written.
#include "output_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <system_error>

#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "longstride/file.h"

namespace longstride::program {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const char* option, const std::string& path, const std::string& what) {
  throw Error(ErrorKind::invalid_argument, std::string(option) + ": \"" + path + "\" " + what + "; name another file");
}

bool is_among(const std::string& ending, const std::vector<std::string>& endings) {
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

// What a form is called, and the endings that say it. Text and pages may have any ending that says nothing else.
struct FormWords {
  const char* what;
  std::vector<std::string> endings;
  bool any = false;
};

FormWords words_of(FileForm form) {
  switch (form) {
    case FileForm::png:
      return {"a picture", {".png"}};
    case FileForm::png_or_svg:
      return {"a picture", {".png", ".svg"}};
    case FileForm::wav:
      return {"sound", {".wav"}};
    case FileForm::page:
      return {"a page", {".html"}, true};
    case FileForm::text:
      break;
  }
  return {"text", {".txt"}, true};
}

bool is_null_device(const struct stat& status) {
  struct stat null = {};
  return ::stat("/dev/null", &null) == 0 && S_ISCHR(status.st_mode) && status.st_rdev == null.st_rdev;
}

}  // namespace

bool is_standard_output(const std::string& path) {
  if (path == kStandardOutput) return true;
  struct stat out = {}, there = {};
  if (path.empty() || ::fstat(STDOUT_FILENO, &out) != 0 || ::stat(path.c_str(), &there) != 0) return false;
  return out.st_dev == there.st_dev && out.st_ino == there.st_ino && !is_null_device(out);
}

void keep_json_alone(const char* option, const std::string& path, bool json) {
  if (json && is_standard_output(path))
    throw_invalid(
        fmt::format("--json and {} {}: one of them can be on standard output; name another file", option, path));
}

std::string lower_ending(const std::string& path) {
  std::string ending = fs::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

FileForm form_of(const std::string& kind) {
  return kind == "image" ? FileForm::png : kind == "sound" ? FileForm::wav : FileForm::text;
}

void check_ending(const char* option, const std::string& path, FileForm form) {
  static const std::vector<std::string> of_others = {".png", ".jpg",  ".jpeg", ".gif",        ".webp",
                                                     ".wav", ".flac", ".mp3",  ".safetensors"};
  const FormWords words = words_of(form);
  const std::string ending = lower_ending(path);
  if (words.any ? !is_among(ending, of_others) : is_among(ending, words.endings)) return;
  throw_invalid(fmt::format("{}: {} is written; needs a name that ends in {}, got \"{}\"", option, words.what,
                            fmt::join(words.endings, " or "), path));
}

void check_place(const char* option, const std::string& path) {
  if (path == kStandardOutput) throw_invalid(fmt::format("{}: needs the name of a file, got \"-\"", option));
  try {
    require_writable(path);
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(option) + ": " + error.what());
  }
}

void check_output(const char* option, const std::string& path, FileForm form, const std::vector<std::string>& inputs,
                  const std::string& run) {
  if (path.empty()) return;
  keep_inputs(option, path, inputs, run);
  if (path != kStandardOutput) check_ending(option, path, form);
  check_place(option, path);
}

void keep_inputs(const char* option, const std::string& path, const std::vector<std::string>& inputs,
                 const std::string& run) {
  if (path.empty() || path == kStandardOutput) return;
  if (const std::string owner = run_of(path); !owner.empty())
    refuse(option, path, "belongs to the run \"" + owner + "\"");
  std::error_code error;
  if (!fs::exists(path, error) || fs::is_directory(path, error)) return;
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
  if (!run.empty() && fs::equivalent(path, run, error)) refuse(option, path, "is what is read");
}

}  // namespace longstride::program
