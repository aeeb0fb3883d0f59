// Whether a run can be kept: room, a checkpoint that comes back as it was written, a run that goes on to the same
// bytes.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "doctor/computing.h"
#include "io/file.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/checkpoint.h"
#include "longstride/plan.h"
#include "longstride/train.h"
#include "model/checkpoint.h"
#include "train/state.h"

namespace longstride {

namespace doctor {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

// A folder of our own that goes with all that is in it.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& within) : path_(within + "/longstride-doctor-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) fail_system("write", within);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// What most people train first.
Config usual_config() { return read_config({preset_json("text-small")}, {"preset text-small"}, {}); }

// Weights, their average and two moments, float32.
double checkpoint_bytes(const Config& config) { return 16 * static_cast<double>(ParameterTable(config.model).count()); }

Finding disk(const std::string& folder) {
  const Config config = usual_config();
  const double needed = checkpoint_bytes(config) * static_cast<double>(config.training.keep + 2);  // best, the next one
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) return {.verdict = Verdict::wrong, .sentence = "its room cannot be asked for: " + error.message()};
  const auto free = static_cast<double>(space.available);
  return {.verdict = free < needed ? Verdict::wrong : Verdict::ok,
          .sentence = fmt::format("{} are free in \"{}\"; the checkpoints of a run of text-small take {}",
                                  gigabytes(free), folder, gigabytes(needed)),
          .figures = {{"free_bytes", free}, {"needed_bytes", needed}}};
}

Finding memory(Backend& backend, Device device) {
  Config config = usual_config();
  config.training.device = device;
  const auto needed = static_cast<double>(plan_training(config).total_bytes);
  const Facts facts = backend.facts();
  const auto free = static_cast<double>(facts.memory_available_bytes);
  return {.verdict = free < needed ? Verdict::wrong : Verdict::ok,
          .sentence = fmt::format("{} of {} are free{}; training text-small takes {}", gigabytes(free),
                                  gigabytes(static_cast<double>(facts.memory_bytes)),
                                  facts.device == "cpu" ? "" : " on " + facts.name, gigabytes(needed)),
          .figures = {{"free_bytes", free}, {"needed_bytes", needed}}};
}

// What was written is read from the disk, where the system lets its copy in memory go.
void forget(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
}

Finding checkpoint(Backend& backend, const ScratchFolder& folder) {
  const Config config = usual_config();
  const auto made = [&] { return TrainState(backend, config.model, config.training, DType::float32); };
  const std::string path = folder.path("checkpoint");
  TrainState written = made();
  written.initialise(1);
  const Clock::time_point before = Clock::now();
  Progress where;
  where.step = 7;
  written.save(begin_directory(path), config, where);
  commit_directory(path);
  const double write_s = seconds_since(before);
  double bytes = 0;
  for (const char* name : {kModelFile, kTrainingStateFile}) {
    forget(path + "/" + name);
    bytes += static_cast<double>(fs::file_size(path + "/" + name));
  }
  TrainState read = made();
  const Clock::time_point between = Clock::now();
  const Progress progress = read.load(path);  // every byte by its SHA-256
  const double read_s = seconds_since(between);
  std::vector<std::byte> staging[2];
  const auto of = [&](const TrainState& state, int n) {
    const std::int64_t size = state.table().store_elements() * 4;
    const auto* at = static_cast<const std::byte*>(backend.readable(state.weights().f32, size, staging[n]));
    return std::span(at, static_cast<std::size_t>(size));
  };
  const auto a = of(written, 0), b = of(read, 1);
  if (progress.step != 7 || !std::equal(a.begin(), a.end(), b.begin(), b.end()))
    return {.verdict = Verdict::wrong, .sentence = "what was read back is not what was written"};
  return {
      .sentence = fmt::format("{:.0f} MB written and synced in {:.2f} s ({:.0f} MB/s), read back to the same bits in "
                              "{:.2f} s",
                              bytes / 1e6, write_s, bytes / 1e6 / write_s, read_s),
      .figures = {{"bytes", bytes}, {"write_s", write_s}, {"read_s", read_s}}};
}

Finding resumption(const ScratchFolder& folder, Device device) {
  std::string text;
  for (int line = 0; text.size() < 20000; ++line) text += fmt::format("line {} of a text\n", line * line % 97);
  const std::string data = folder.path("text");
  write_file_atomically(data, text);
  Config config = read_config(
      {R"x({"model": {"context": 64, "layers": 2, "width": 32, "heads": 2, "attention": "fixed(8,2)", "dropout": 0.1},
            "training": {"steps": 6, "batch": 2, "sample_minutes": 0}})x"},
      {"doctor"}, {});
  config.data.paths = {data};
  config.training.device = device;
  const auto run = [&](const char* name, std::int64_t stop_at, bool resume) {
    std::atomic<bool> stop = false;
    TrainObserver observer;
    observer.stepped = [&](const StepReport& report) { stop = report.step == stop_at; };
    train(config, {.out = folder.path(name), .resume = resume, .stop = &stop}, observer);
    return read_text(find_checkpoint(folder.path(name), "latest"));
  };
  const std::string whole = run("whole", -1, false);
  run("parts", 2, false);
  if (run("parts", -1, true) != whole)
    return {.verdict = Verdict::wrong,
            .sentence = "a run that was broken off went on to other weights than a whole one"};
  return {.sentence = "a run that was broken off after 2 of 6 steps went on to the same bytes as a whole one"};
}

}  // namespace

}  // namespace doctor

std::vector<Finding> examine_storage(const DoctorOptions& options) {
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  const doctor::ThreadsKept kept;
  const doctor::ScratchFolder folder(options.folder);
  doctor::Findings findings(options);
  findings.look("disk", [&] { return doctor::disk(options.folder); });
  findings.look("memory", [&] { return doctor::memory(*backend, options.device); });
  findings.look("checkpoint", [&] { return doctor::checkpoint(*backend, folder); });
  findings.look("resumption", [&] { return doctor::resumption(folder, options.device); });
  return findings.all();
}

}  // namespace longstride
