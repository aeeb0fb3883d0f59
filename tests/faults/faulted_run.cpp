// This starts the program under tests/faults/preload and reads what it left.
#include "faults/faulted_run.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <iterator>
#include <regex>

#include "io/safetensors.h"
#include "longstride/checkpoint.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "longstride/origin.h"
#include "longstride/train.h"

extern "C" void file_calls_begin();  // of tests/faults/preload, which this process is linked with

namespace longstride::program {
extern const char* const kCommit;  // cmake/commit.cmake makes the file that says it
}

namespace longstride {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTrace = "calls";
constexpr const char* kDurable = "durable";

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The log without times, memory and the sessions that wrote it.
std::string log_contents(const fs::path& path) {
  std::string lines;
  std::ifstream log(path);
  int started = 0, finished = 0;
  for (std::string line; std::getline(log, line);) {
    nlohmann::ordered_json json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (json.is_discarded()) {
      lines += "no JSON: " + line + "\n";
      continue;
    }
    started += json.value("event", "") == "started";
    finished += json.value("event", "") == "finished";
    if (json.contains("event")) continue;
    for (const char* time : {"step_s", "load_s", "exchange_s", "tokens_per_s", "utilisation", "memory_bytes"})
      json.erase(time);
    lines += json.dump() + "\n";
  }
  return lines + "started " + std::to_string(started) + ", finished " + std::to_string(finished) + "\n";
}

// Decoded data, or what is said of them without times and inodes.
std::string decoded_contents(const fs::path& path) {
  if (path.extension() != ".json") return bytes_of(path);
  nlohmann::json about = nlohmann::json::parse(bytes_of(path));
  about.at("files").erase("identities");
  return about.dump();
}

std::string state_contents(const fs::path& path) {
  const SafetensorsFile state(path.string());
  state.verify();
  std::string text;
  for (const auto& [key, value] : state.metadata())
    if (key != "sha256" && key != "tokens_per_s" && !key.ends_with("_s")) text += key + " " + value + "\n";
  for (const TensorEntry& tensor : state.tensors()) {
    const std::vector<std::uint8_t> bytes = state.read(tensor);
    text += tensor.name + "\n" + std::string(bytes.begin(), bytes.end());
  }
  return text;
}

}  // namespace

bool FileCall::changes() const {
  for (const char* reading :
       {"stat", "open", "readdir", "readlink", "read", "mmap", "lseek", "flock", "close", "chmod"})
    if (is(reading)) return false;
  return true;
}

FaultedRun::FaultedRun(const std::string& text, By by) : text_(text), by_(by) { fs::create_directory(place()); }

FaultedRun::FaultedRun(const FaultedRun& other) : FaultedRun(other.text_, other.by_) {
  more_ = other.more_;
  threads_ = other.threads_;
  take(other);
}

void FaultedRun::take(const FaultedRun& other) {
  fs::remove_all(place());
  fs::copy(other.place(), place(), fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

// Bits on validation fall and rise again, so that the best is neither always the last nor always the same.
std::vector<std::string> FaultedRun::command() const {
  std::vector<std::string> words = training("train", {"--out", out(), "--quiet"});
  words[2] = text_;
  for (const char* set :
       {"training.steps=4", "training.learning_rate=0.3", "training.ema=0.5", "training.keep=1",
        "training.validate_minutes=1e-9", "training.sample_minutes=1e-9", "training.checkpoint_minutes=1e-9"})
    words.insert(words.end(), {"--set", set});
  for (const std::string& set : more_) words.insert(words.end(), {"--set", set});
  if (replaces_) words.push_back("--overwrite");
  return words;
}

Finished FaultedRun::start_run() { return by_ == By::program ? run(command()) : run_copy(false); }

Finished FaultedRun::resume_run() {
  if (!holds_run()) return start_run();
  if (by_ == By::program) return run({"train", "--resume", "--out", out(), "--quiet"});
  return run_copy(true);
}

bool FaultedRun::holds_run() const {
  if (fs::exists(out() + "/config.json")) return true;
  if (!fs::exists(out() + "/checkpoints")) return false;
  for (const fs::path& checkpoint : fs::directory_iterator(out() + "/checkpoints"))
    if (checkpoint.extension().empty() && fs::exists(checkpoint / "model.safetensors")) return true;
  return false;
}

Finished FaultedRun::run_copy(bool resume) const {
  std::cout.flush();
  const pid_t process = ::fork();
  if (process != 0) return finish(process);
  for (const auto& [number, name] : {std::pair(1, "out"), std::pair(2, "err")})
    ::dup2(::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), number);
  for (const std::string& variable : environment_) ::putenv(const_cast<char*>(variable.c_str()));
  file_calls_begin();
  set_threads(threads_);
  ::_exit(train_here(resume));
}

int FaultedRun::train_here(bool resume) const {
  set_commit(program::kCommit);  // as the program does
  const auto say = [](const std::string& sentence) { std::cerr << "longstride train: " << sentence << std::endl; };
  const std::vector<std::string> words = command();
  std::vector<std::string> assignments = {"data.paths=[\"" + text_ + "\"]"};
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == "--set") assignments.push_back(words[i + 1]);
  TrainOptions options;
  options.out = out();
  options.resume = resume;
  options.overwrite = replaces_ && !resume;
  std::atomic<bool> stop = false;
  options.stop = &stop;
  TrainObserver observer;
  observer.noted = say;
  observer.stepped = [&](const StepReport& report) { stop = stop || report.step == stop_at_; };
  try {
    const Config config = resume ? Config() : read_config({}, {}, assignments);
    return longstride::train(config, options, observer).interrupted ? 130 : 0;
  } catch (const Error& error) {
    say(error.what());
    return error.kind() == ErrorKind::invalid_argument ? 2 : 1;
  } catch (const std::exception& error) {
    say(error.what());
    return 1;
  }
}

void FaultedRun::warm_up() {
  set_threads(1);  // copies of a process have none of its threads but one
  EXPECT_EQ(train_here(false), 0);
  fs::remove_all(place());
  fs::create_directory(place());
}

void FaultedRun::set_fault(const std::string& at, const std::string& action) {
  fs::remove(path(kTrace));
  environment_ = {std::string("LD_PRELOAD=") + LONGSTRIDE_FILE_CALLS, "LONGSTRIDE_FAULTS_BELOW=" + place(),
                  "LONGSTRIDE_FAULTS_TRACE=" + path(kTrace), "LONGSTRIDE_FAULTS_AT=" + at,
                  "LONGSTRIDE_FAULTS_DO=" + action};
}

void FaultedRun::set_durable() {
  fs::remove_all(path(kDurable));
  fs::create_directory(path(kDurable));
  environment_.push_back("LONGSTRIDE_FAULTS_DURABLE=" + path(kDurable));
}

void FaultedRun::clear() { environment_.clear(); }

std::vector<FileCall> FaultedRun::calls() const {
  std::vector<FileCall> found;
  std::ifstream trace(path(kTrace));
  for (std::string line; std::getline(trace, line);) {
    std::istringstream fields(line);
    FileCall call;
    std::string number;
    std::getline(fields, number, '\t');
    std::getline(fields, call.name, '\t');
    std::getline(fields, call.path, '\t');
    std::getline(fields, call.other, '\t');
    call.number = std::stol(number);
    for (std::string* name : {&call.path, &call.other})
      if (name->starts_with(place())) name->erase(0, place().size());
    found.push_back(call);
  }
  return found;
}

namespace {

// What of a thing is on the disk, under `name` in the folder `durable`: the newest that had its inode's number.
fs::path durable_of(const fs::path& durable, const fs::path& thing) {
  struct stat status = {};
  if (::lstat(thing.c_str(), &status) != 0) return {};
  fs::path newest;
  for (int count = 0;; ++count) {
    const fs::path path = durable / (std::to_string(status.st_ino) + "." + std::to_string(count));
    if (!fs::exists(path)) return newest;
    newest = path;
  }
}

// Of folders the entries that were synced.
void copy_synced(const fs::path& durable, const fs::path& listing, const fs::path& into) {
  fs::create_directory(into);
  std::ifstream entries(listing);
  for (std::string line; std::getline(entries, line);) {
    std::istringstream fields(line);
    std::string kind, what, name;
    std::getline(fields, kind, '\t');
    std::getline(fields, what, '\t');
    std::getline(fields, name, '\t');
    if (kind == "link") {
      fs::create_symlink(what, into / name);
    } else if (kind == "folder") {
      copy_synced(durable, durable / what, into / name);
    } else {
      std::ofstream(into / name, std::ios::binary) << bytes_of(durable / what);
    }
  }
}

// Of folders the entries that there are.
void copy_all(const fs::path& durable, const fs::path& from, const fs::path& into) {
  fs::create_directory(into);
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const fs::path name = into / entry.path().filename();
    if (entry.is_symlink()) {
      fs::copy_symlink(entry.path(), name);
    } else if (entry.is_directory()) {
      copy_all(durable, entry.path(), name);
    } else {
      const fs::path synced = durable_of(durable, entry.path());
      std::ofstream(name, std::ios::binary) << (synced.empty() ? "" : bytes_of(synced));
    }
  }
}

}  // namespace

void FaultedRun::cut_power(Entries entries) {
  const fs::path after = path("after");
  fs::remove_all(after);
  if (entries == Entries::all) {
    copy_all(path(kDurable), place(), after);
  } else {
    copy_synced(path(kDurable), durable_of(path(kDurable), place()), after);
  }
  fs::remove_all(place());
  fs::rename(after, place());
}

RunContents FaultedRun::contents() const {
  RunContents found;
  if (!fs::exists(out())) return found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(out())) {
    const std::string name = entry.path().lexically_relative(out()).string();
    if (entry.is_symlink()) {
      found[name] = fs::read_symlink(entry.path()).string();
    } else if (entry.is_regular_file() && !name.starts_with("tensorboard/")) {
      found[name] = name == "log.jsonl"                    ? log_contents(entry.path())
                    : name.ends_with("/state.safetensors") ? state_contents(entry.path())
                    : name.starts_with("cache/")           ? decoded_contents(entry.path())
                                                           : bytes_of(entry.path());
    }
  }
  return found;
}

std::vector<std::string> FaultedRun::damages(const FileCall& fault, bool certain) const {
  std::vector<std::string> found;
  int whole = 0;
  const fs::path folder = out() + "/checkpoints";
  if (fs::exists(folder)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().find('.') != std::string::npos) continue;
      try {
        describe_checkpoint((entry.path() / "model.safetensors").string());
        state_contents(entry.path() / "state.safetensors");
        ++whole;
      } catch (const Error& error) {
        found.push_back(error.what());
      }
    }
  }
  static const std::regex checkpoint("/run/checkpoints/[0-9]+");
  bool renamed = false, published = false;
  for (const FileCall& call : calls()) {
    if (call.number == fault.number) continue;
    renamed = renamed || (call.is("rename") && std::regex_match(call.other, checkpoint));
    published = published || (renamed && (!certain || (call.is("fsync") && call.path == "/run/checkpoints")));
  }
  if (published && whole == 0) found.push_back("no checkpoint is there, and one was");
  return found;
}

std::string FaultedRun::signature() const {
  static const std::regex process(R"(\.[0-9]+-([0-9]+)\.partial)");
  std::string text;
  std::vector<fs::path> paths;
  if (fs::exists(place()))
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(place())) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    std::string name = path.lexically_relative(place()).string();
    if (name.starts_with("run/tensorboard/")) continue;
    text += std::regex_replace(name, process, ".$1.partial");
    if (fs::is_symlink(path)) {
      text += " -> " + fs::read_symlink(path).string();
    } else if (name == "run/log.jsonl") {
      const std::string log = bytes_of(path);
      text +=
          " " + std::to_string(std::count(log.begin(), log.end(), '\n')) + (log.ends_with("\n") ? " lines" : " cut");
    } else if (fs::is_regular_file(path)) {
      const bool timed = name.find("state.safetensors") != std::string::npos;
      text += " " + std::to_string(fs::file_size(path)) +
              (timed ? "" : " " + std::to_string(std::hash<std::string>()(bytes_of(path))));
    }
    text += "\n";
  }
  return text;
}

std::string differences(const RunContents& right, const RunContents& found) {
  std::string text;
  constexpr std::size_t kShort = 3000;
  for (const auto& [name, value] : right) {
    const auto at = found.find(name);
    if (at == found.end()) {
      text += name + " is missing\n";
    } else if (at->second != value) {
      text += name + " differs\n";
      if (value.size() < kShort && at->second.size() < kShort)
        text += "--- right\n" + value + "--- found\n" + at->second;
    }
  }
  for (const auto& [name, value] : found)
    if (!right.contains(name)) text += name + " is there besides\n";
  return text;
}

}  // namespace longstride
