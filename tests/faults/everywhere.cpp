// This runs faults one after the other, and says how many there were.
#include "faults/everywhere.h"

#include <algorithm>
#include <iostream>

namespace longstride {

// One for all runs of this process, which must name the same data to be equal.
std::string Everywhere::data_path() {
  static const Workplace place;
  return place.path("text");
}

Everywhere::Whole::Whole() : run(data_path()) {
  run.warm_up();
  run.set_fault("0", "kill");  // counts, and acts on none
  const Finished done = run.start_run();
  EXPECT_EQ(done.status, 0) << done.err;
  calls = run.calls();
  contents = run.contents();
}

Everywhere::Whole& Everywhere::whole() {
  static Whole whole;
  return whole;
}

std::vector<FileCall> Everywhere::distinct(const std::vector<FileCall>& calls) {
  std::vector<FileCall> kept;
  const auto same = [](const FileCall& a, const FileCall& b) { return a.name == b.name && a.path == b.path; };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const bool first = i == 0 || !same(calls[i - 1], calls[i]);
    const bool last = i + 1 == calls.size() || !same(calls[i], calls[i + 1]);
    if (first || last) kept.push_back(calls[i]);
  }
  return kept;
}

std::vector<Fault> Everywhere::chosen(std::vector<Fault> faults, std::size_t some) {
  const char* asked = std::getenv("LONGSTRIDE_FAULTS");
  if (asked != nullptr && std::string(asked) == "everywhere") return faults;
  std::vector<Fault> few;
  for (std::size_t i = 0; i < some && !faults.empty(); ++i)
    few.push_back(faults[(2 * i + 1) * faults.size() / (2 * some)]);
  return few;
}

void Everywhere::expect_survived(const std::vector<Fault>& faults,
                                 const std::function<std::string(FaultedRun&, const Fault&)>& check) {
  ASSERT_FALSE(faults.empty());
  whole();
  for (const Fault& fault : faults) {
    FaultedRun run(data_path());
    const std::string problem = check(run, fault);
    EXPECT_EQ(problem, "") << fault.words();
  }
  std::cout << faults.size() << " faults, " << resumed_ << " states gone on from\n";
}

std::string Everywhere::goes_on(FaultedRun& run) {
  const std::string state = run.signature();
  if (seen_.contains(state)) return "";
  ++resumed_;
  run.clear();
  const Finished done = run.resume_run();
  if (done.status != 0) return "it cannot be gone on with: " + done.err + state;
  const std::string problem = differences(whole().contents, run.contents());
  if (!problem.empty()) return problem + state;
  seen_.insert(state);
  return "";
}

}  // namespace longstride
