// This finds the names of files for samples, and chooses what writes them by the kind of data.
#include "sample_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>

#include "longstride/error.h"
#include "longstride/file.h"
#include "words.h"

namespace longstride::program {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostTried = 1000;  // of many files, whether they can be written

const char* ending_of(FileForm form) {
  return form == FileForm::png ? ".png" : form == FileForm::wav ? ".wav" : ".txt";
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

}  // namespace

void add_show_options(CommandLine app, ShowOptions& options) {
  app.add_flag("--no-echo", options.no_echo, "Of a text without what was given, what was made alone");
  app.add_option("--separator", options.separator,
                 "Stands between texts on standard output (default: a line \"--- sample 2 of 3 ---\")")
      .type_name("TEXT");
  app.add_option("--scale", options.scale, "Of pictures: pixels of the file, down and across, for one of theirs")
      .type_name("N")
      .capture_default_str();
}

void refuse_text_options(const SampleTask& task) {
  const std::string learned = kind_words(task.data);
  if (task.show.no_echo) throw_invalid(fmt::format("--no-echo: is for texts, the model has learned from {}", learned));
  if (task.show.separator)
    throw_invalid(fmt::format("--separator: is for texts, the model has learned from {}", learned));
}

void refuse_picture_options(const SampleTask& task) {
  if (task.show.scale != 1)
    throw_invalid(fmt::format("--scale: is for pictures, the model has learned from {}", kind_words(task.data)));
}

SamplePlace::SamplePlace(const SampleTask& task, FileForm form)
    : path_(task.out), ending_(ending_of(form)), count_(task.options.count) {
  const std::string& out = task.out;
  std::error_code error;
  if (out.empty()) {
    asked_ = settled_ = false;
    find_free();
  } else {
    folder_ = fs::is_directory(path_, error) || out.ends_with('/');
    if (out == kStandardOutput)
      throw_invalid(
          fmt::format("--out: standard output takes text alone; needs a name that ends in {}, got \"-\"", ending_));
    keep_inputs("--out", out, task.inputs);
    if (folder_) {
      fs::create_directories(path_, error);  // what is wrong is said below
    } else {
      check_form(form);
    }
    if (count_ > 1 && is_written_in_place(out)) {
      throw_invalid(fmt::format("--out: {} samples are as many files; needs a name for them or a folder, got \"{}\"",
                                count_, out));
    }
  }
  for (const std::string& file : {whole(), single(count_ - 1)}) {
    const std::size_t length = fs::path(file).filename().string().size();
    if (length <= NAME_MAX) continue;
    throw Error(ErrorKind::invalid_argument,
                fmt::format("--out: names of files have at most {} bytes, \"{}\" has {}", NAME_MAX, file, length));
  }
  const auto check = [&](const std::string& file) {
    keep_inputs("--out", file, task.inputs);
    check_place("--out", file);
  };
  if (count_ > 1) check(whole());
  for (std::int64_t index = 0; index < std::min(count_, kMostTried); ++index) check(single(index));
}

SamplePlace::~SamplePlace() {
  std::error_code ignored;
  for (const std::string& file : taken_)
    if (fs::is_regular_file(file, ignored) && fs::file_size(file, ignored) == 0) fs::remove(file, ignored);
}

// Of several, also where one that is numbered is there alone.
void SamplePlace::find_free() {
  const auto is_taken = [&] {
    bool taken = is_there(path_);
    for (std::int64_t index = 0; !taken && count_ > 1 && index < std::min(count_, kMostTried); ++index)
      taken = is_there(numbered(index));
    return taken;
  };
  path_ = "sample" + ending_;
  for (int number = 2; is_taken(); ++number) path_ = fmt::format("sample_{}{}", number, ending_);
}

// Whoever makes the first file has the names of all: others make the same one first.
void SamplePlace::settle() {
  while (!settled_) {
    find_free();
    settled_ = make(ending_ == ".png" ? whole() : single(0));
  }
}

bool SamplePlace::make(const std::string& file) {
  const bool made = take_name(file);
  if (made) taken_.insert(file);
  return made;
}

void SamplePlace::take(const std::string& file) {
  if (asked_ || taken_.contains(file) || make(file)) return;
  throw Error(ErrorKind::exhausted, fmt::format("cannot write \"{}\": another program has just made it", file));
}

std::string SamplePlace::take_whole() {
  settle();
  take(whole());
  return whole();
}

std::string SamplePlace::take_single(std::int64_t index) {
  settle();
  take(single(index));
  return single(index);
}

void SamplePlace::check_form(FileForm form) const {
  if (form == FileForm::text || lower_ending(path_.string()) == ending_)
    return check_ending("--out", path_.string(), form);
  throw_invalid(fmt::format("--out: needs a name that ends in {}, or a folder that is there or ends in /, got \"{}\"",
                            ending_, path_.string()));
}

std::string SamplePlace::numbered(std::int64_t index) const {
  if (folder_) return (path_ / fmt::format("{:03}{}", index + 1, ending_)).string();
  const std::string name = fmt::format("{}-{:03}{}", path_.stem().string(), index + 1, path_.extension().string());
  return (path_.parent_path() / name).string();
}

std::string SamplePlace::whole() const { return folder_ ? (path_ / ("grid" + ending_)).string() : path_.string(); }

std::string SamplePlace::single(std::int64_t index) const {
  return count_ == 1 && !folder_ ? path_.string() : numbered(index);
}

}  // namespace longstride::program
