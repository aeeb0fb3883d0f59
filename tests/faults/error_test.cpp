// These tests let each file call of training fail, with what systems answer when a disk is full, broken or read-only.
#include <algorithm>
#include <cerrno>

#include "faults/everywhere.h"

namespace longstride {
namespace {

class Errors : public Everywhere {
 protected:
  // What a call may answer.
  static std::vector<int> reasons(const FileCall& call) {
    static const std::map<std::string, std::vector<int>> kReasons = {{"open", {EACCES, EMFILE, EIO}},
                                                                     {"open-write", {ENOSPC, EROFS, EMFILE}},
                                                                     {"write", {ENOSPC, EIO, EDQUOT}},
                                                                     {"fsync", {EIO, ENOSPC}},
                                                                     {"close", {EIO, ENOSPC}},
                                                                     {"rename", {EROFS, EIO, ENOSPC}},
                                                                     {"exchange", {EIO, EINVAL}},
                                                                     {"unlink", {EROFS, EIO}},
                                                                     {"mkdir", {ENOSPC, EROFS}},
                                                                     {"symlink", {EPERM, ENOSPC}},
                                                                     {"readdir", {EIO}},
                                                                     {"flock", {ENOLCK}},
                                                                     {"lseek", {EIO}},
                                                                     {"ftruncate", {EIO}},
                                                                     {"stat", {EIO, EACCES}},
                                                                     {"mmap", {ENOMEM}},
                                                                     {"readlink", {EIO}},
                                                                     {"link", {EPERM}},
                                                                     {"read", {EIO}},
                                                                     {"chmod", {EPERM}}};
    const auto found = kReasons.find(call.name);
    EXPECT_NE(found, kReasons.end()) << call.name;
    return found == kReasons.end() ? std::vector<int>{EIO} : found->second;
  }

  // Each call with one of its reasons in turn.
  static std::vector<Fault> errors(const std::vector<FileCall>& calls) {
    std::vector<Fault> faults;
    std::map<std::string, std::size_t> turn;
    for (const FileCall& call : distinct(calls)) {
      const std::vector<int> answers = reasons(call);
      faults.push_back({call, std::to_string(answers[turn[call.name]++ % answers.size()])});
    }
    return faults;
  }

  static bool says(const Finished& done, const char* words) { return done.err.find(words) != std::string::npos; }

  // A sample that was not kept is missing, and so is its line.
  static RunContents without_samples(RunContents contents) {
    std::erase_if(contents, [](const auto& entry) { return entry.first.starts_with("samples/"); });
    std::istringstream log(contents["log.jsonl"]);
    std::string kept;
    for (std::string line; std::getline(log, line);)
      if (line.find("\"sample\"") == std::string::npos) kept += line + "\n";
    contents["log.jsonl"] = kept;
    return contents;
  }

  // What is wrong with a run that went on in spite of the error.
  static std::string went_on(FaultedRun& run, const Finished& done) {
    run.clear();
    const Finished again = run.resume_run();  // finds nothing to do, and tidies up
    if (again.status != 0) return "afterwards: " + again.err;
    const bool sampled = !says(done, "the sample is not kept");
    const RunContents found = run.contents();
    return sampled ? differences(whole().contents, found)
                   : differences(without_samples(whole().contents), without_samples(found));
  }

  std::string ended(FaultedRun& run, const Finished& done, const Fault& fault) {
    const std::size_t last = done.err.rfind('\n', done.err.size() - 2) + 1;
    std::string problem;
    if (done.status != 1) problem = "it ended with " + std::to_string(done.status) + "\n";
    if (done.err.empty() || done.err.compare(last, 18, "longstride train: ") != 0) problem += "it says no sentence\n";
    if (says(done, "filesystem error")) problem += "it says it raw\n";
    for (const std::string& sentence : run.damages(fault.call)) problem += sentence + "\n";
    if (problem.empty()) problem = goes_on(run);
    return problem.empty() ? "" : problem + done.err;
  }

  std::string survives(FaultedRun& run, const Fault& fault, bool resumed) {
    run.set_fault(std::to_string(fault.call.number), fault.action);
    const Finished done = resumed ? run.resume_run() : run.start_run();
    const std::vector<FileCall> calls = run.calls();
    const auto number = static_cast<std::size_t>(fault.call.number);
    if (calls.size() < number || calls[number - 1].name != fault.call.name) return "this run makes other calls";
    return done.status == 0 ? went_on(run, done) : ended(run, done, fault);
  }
};

TEST_F(Errors, OfAnyFileCallAreOneSentenceAndLoseNothing) {
  expect_survived(chosen(errors(whole().calls), 4),
                  [&](FaultedRun& run, const Fault& fault) { return survives(run, fault, false); });
}

TEST_F(Errors, OfAResumedRunAreOneSentenceAndLoseNothing) {
  FaultedRun half(data_path());
  const auto third = std::find_if(whole().calls.begin(), whole().calls.end(), [](const FileCall& call) {
    return call.is("rename") && call.other == "/run/checkpoints/000000003";
  });
  ASSERT_NE(third, whole().calls.end());
  half.set_fault(std::to_string(third->number), "kill");
  EXPECT_EQ(half.start_run().status, 1000 + SIGKILL);
  FaultedRun resumed(half);
  resumed.set_fault("0", "kill");
  ASSERT_EQ(resumed.resume_run().status, 0);
  expect_survived(chosen(errors(resumed.calls()), 4), [&](FaultedRun& run, const Fault& fault) {
    run.take(half);
    return survives(run, fault, true);
  });
}

// Signals interrupt calls, and disks take less than they are given: each call that may be, is.
TEST_F(Errors, OfCallsThatAreInterruptedOrDoHalfChangeNothing) {
  for (const std::string& action : {std::string("short"), std::to_string(EINTR)}) {
    FaultedRun run(data_path());
    run.set_fault("every", action);
    const Finished done = run.start_run();
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(differences(whole().contents, run.contents()), "") << action;
    EXPECT_GT(run.calls().size(), whole().calls.size());
  }
}

}  // namespace
}  // namespace longstride
