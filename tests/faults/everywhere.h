// Many runs with a fault each, against the one that nothing happened to.
#pragma once

#include <cstdlib>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "faults/faulted_run.h"

namespace longstride {

struct Fault {
  FileCall call;
  std::string action;
  std::string words() const {
    return action + " at call " + std::to_string(call.number) + ", " + call.name + " " + call.path;
  }
};

class Everywhere : public testing::Test {
 protected:
  // The run that nothing happens to, its calls and what it leaves: made once.
  struct Whole {
    Whole();
    FaultedRun run;
    std::vector<FileCall> calls;
    RunContents contents;
  };
  static Whole& whole();
  static std::string data_path();  // the text that all of them learn from

  // Calls in a row that do the same to the same file are one, of which the first and the last are kept.
  static std::vector<FileCall> distinct(const std::vector<FileCall>& calls);

  // All of them where LONGSTRIDE_FAULTS=everywhere, else `some`, evenly spread.
  static std::vector<Fault> chosen(std::vector<Fault> faults, std::size_t some);

  // `check` is called for each in a folder of its own and returns what is wrong.
  void expect_survived(const std::vector<Fault>& faults,
                       const std::function<std::string(FaultedRun& run, const Fault& fault)>& check);

  // Goes on with what a fault left, to the end, and compares with the whole run. States that were seen before pass.
  std::string goes_on(FaultedRun& run);

  std::set<std::string> seen_;  // signatures of states that went on well
  int resumed_ = 0;
};

}  // namespace longstride
