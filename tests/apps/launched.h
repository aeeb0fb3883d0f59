// The program as a launcher of MPI starts it several times.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "apps/program.h"

namespace longstride {

class Launched : public Commands {
 protected:
  void SetUp() override {
#ifndef LONGSTRIDE_MPIRUN
    GTEST_SKIP() << "this build has no MPI";
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the libraries of MPI are not instrumented";
#endif
    // More processes than cores, and as root where the tests run as that; other launchers than Open MPI's do not ask.
    environment_ = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "OMPI_MCA_rmaps_base_oversubscribe=1",
                    "OMP_WAIT_POLICY=passive"};
  }

  void launch(int processes) {
#ifdef LONGSTRIDE_MPIRUN
    launcher_ = {LONGSTRIDE_MPIRUN, "-np", std::to_string(processes)};
#endif
    if (processes == 1) launcher_.clear();
  }

  Finished run_by(int processes, const std::vector<std::string>& arguments) {
    launch(processes);
    const Finished done = run(arguments);
    launcher_.clear();
    return done;
  }

  // The processes that a process has started, in order of their numbers.
  static std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::ifstream stat(entry.path() / "stat");
      pid_t process = 0, its_parent = 0;
      std::string name, state;
      if (stat >> process >> name >> state >> its_parent && its_parent == parent) children.push_back(process);
    }
    std::sort(children.begin(), children.end());
    return children;
  }
};

// How often a word occurs.
inline int count_of(const std::string& text, const std::string& word) {
  int count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

}  // namespace longstride
