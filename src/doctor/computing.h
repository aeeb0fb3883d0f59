// Whether a backend computes what it should: operations, a network's gradients, its decoding, and the same bits on any
// number of threads.
#pragma once

#include <string>
#include <vector>

#include "longstride/doctor.h"
#include "ops/backend.h"

namespace longstride::doctor {

// Tells the caller what is begun and what was found, and keeps what was found. A check that throws found that
// something is wrong.
class Findings {
 public:
  // backend: that computes, where its instruction set matters.
  explicit Findings(const DoctorOptions& options, const Backend* backend = nullptr);
  // check: returns a Finding without name and instruction set. Left out where the caller was told to stop.
  void look(const std::string& name, const std::function<Finding()>& check);
  std::vector<Finding> all() const { return all_; }

 private:
  const DoctorOptions& options_;
  std::string instruction_set_;
  std::vector<Finding> all_;
};

// Puts back the number of threads that was in use.
class ThreadsKept {
 public:
  ThreadsKept();
  ~ThreadsKept();
  ThreadsKept(const ThreadsKept&) = delete;
  ThreadsKept& operator=(const ThreadsKept&) = delete;
  int at_least_two() const { return before_ < 2 ? 2 : before_; }  // so that there is something to compare

 private:
  int before_;
};

// The two parts of examine_computing.
std::vector<Finding> examine_operations(Backend& backend, const DoctorOptions& options);
std::vector<Finding> examine_network(Backend& backend, const DoctorOptions& options);

}  // namespace longstride::doctor
