// What benchmarks share: no debug builds, alternating runs, medians, one JSON line a measurement with time first. The
// commit is the environment's LONGSTRIDE_COMMIT, or what the build was told.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "longstride/config.h"
#include "longstride/device.h"

namespace longstride::bench {

using Line = nlohmann::ordered_json;

// First in main. Status 2: it is the user who has to build another.
inline void refuse_debug_build() {
#ifndef NDEBUG
  std::fprintf(stderr, "this is a debug build, its times mean nothing: build the preset `release`\n");
  std::exit(2);
#endif
}

inline double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Times {
  std::vector<double> wall_s;
  std::vector<double> processor_s;  // of all threads together; waiting threads of OpenMP may count
};

// Of an odd number the middle one.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}
// Distance of the quartiles over the median.
inline double spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[values.size() * 3 / 4] - values[values.size() / 4]) / values[values.size() / 2];
}

// Runs the candidates in turn, `runs` times each after one that is not counted: what the machine does meanwhile meets
// all.
inline std::vector<Times> alternate(const std::vector<std::function<void()>>& candidates, int runs) {
  std::vector<Times> times(candidates.size());
  for (int run = -1; run < runs; ++run) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double wall = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
      candidates[i]();
      if (run < 0) continue;
      times[i].wall_s.push_back(seconds(CLOCK_MONOTONIC) - wall);
      times[i].processor_s.push_back(seconds(CLOCK_PROCESS_CPUTIME_ID) - processor);
    }
  }
  return times;
}

// Of one of `count` operations that a run consists of.
inline void divide(Times& times, int count) {
  for (std::vector<double>* of_run : {&times.wall_s, &times.processor_s})
    for (double& s : *of_run) s /= count;
}

// Median ratio of pairs that ran next to each other: above 1 where `ours` takes less time.
inline double ratio(const std::vector<double>& theirs, const std::vector<double>& ours) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(theirs[i] / ours[i]);
  return median(ratios);
}

// What `--device` says. Status 2 where it says nothing known.
inline Device device_of(const std::string& word) {
  const std::optional<Device> device = read_device(word);
  if (device) return *device;
  std::fprintf(stderr, "--device: needs auto, cpu, cuda or cuda:K, got \"%s\"\n", word.c_str());
  std::exit(2);
}

// {"time_s": ..., "spread": ..., then `rest`, then machine, instruction set, threads and commit}
inline void print(const Times& times, const Line& rest) {
  const MachineInfo machine = machine_info();
  const char* commit = std::getenv("LONGSTRIDE_COMMIT");
#ifdef LONGSTRIDE_COMMIT
  if (commit == nullptr) commit = LONGSTRIDE_COMMIT;
#endif
  Line line;
  line["time_s"] = median(times.wall_s);
  line["spread"] = spread(times.wall_s);
  line["runs"] = times.wall_s.size();
  line.update(rest);
  line["machine"] = machine.processor;
  line["threads"] = machine.threads;
  line["instruction_set"] = machine.instruction_set;
  line["commit"] = commit == nullptr ? "unknown" : commit;
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

}  // namespace longstride::bench
