// Whether this machine computes, keeps and moves numbers as the library needs it (docs/doctor.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "longstride/config.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

enum class Verdict {
  ok,
  wrong,  // results cannot be believed, or a run cannot be kept
  slow,   // results are right and take longer than they should
};
const char* to_string(Verdict verdict);

// What one check found.
struct Finding {
  std::string check = {};            // "linear", "threads", "disk", ...
  std::string instruction_set = {};  // that it computed with; empty where that does not matter
  Verdict verdict = Verdict::ok;
  std::string sentence = {};
  std::vector<std::pair<std::string, double>> figures = {};  // measured, by name with its unit
};

struct DoctorOptions {
  Device device = Device::automatic;
  std::string folder = ".";  // where a checkpoint is written and read, in a folder of its own that goes again
  std::int64_t seed = 1;     // of shapes and numbers
  std::int64_t cases = 50;   // random shapes an operation and number format, at least 1
  std::function<void(const std::string& check)> begun;  // may be empty
  std::function<void(const Finding&)> found;            // may be empty
  const std::atomic<bool>* stop = nullptr;              // looked at between checks: those that follow are left out
};

// Each changes set_threads (longstride/device.h) while it works and puts back what it was.

// With the instruction set in use: every operation against its definition in double over random shapes, gradients of a
// network against differences of its loss, decoding with a cache against the whole pass, and the same bits for every
// number of threads from 1 to those in use.
std::vector<Finding> examine_computing(const DoctorOptions& options);

// Disk and memory; a checkpoint written and read back; a run that is broken off and goes on to the same bytes. Error
// where nothing can be written in the folder.
std::vector<Finding> examine_storage(const DoctorOptions& options);

// Cores, dense products and memory, each beside what the processor should give where that can be known.
std::vector<Finding> examine_speed(const DoctorOptions& options);

}  // namespace longstride
#pragma GCC visibility pop
