// These tests end training at each of its file calls, by a kill and by a power cut, and go on with what is left.
#include "faults/everywhere.h"

namespace longstride {
namespace {

class Kills : public Everywhere {
 protected:
  static std::vector<Fault> kills() {
    std::vector<Fault> faults;
    for (const FileCall& call : distinct(whole().calls)) {
      if (!call.changes()) continue;
      faults.push_back({call, "kill"});
      if (call.is("write")) faults.push_back({call, "cut"});
    }
    faults.push_back({whole().calls.back(), "kill"});
    return faults;
  }

  // Runs up to the fault. Returns what is wrong already.
  static std::string killed(FaultedRun& run, const Fault& fault, bool durable) {
    run.set_fault(std::to_string(fault.call.number), fault.action);
    if (durable) run.set_durable();
    const Finished done = run.start_run();
    if (done.status != 1000 + SIGKILL)
      return "it was not killed, but ended with " + std::to_string(done.status) + done.err;
    const std::vector<FileCall> calls = run.calls();
    if (calls.empty() || calls.back().name != fault.call.name) return "this run makes other calls";
    return "";
  }

  static std::string unreadable(const FaultedRun& run, const Fault& fault, bool certain) {
    std::string text;
    for (const std::string& sentence : run.damages(fault.call, certain)) text += sentence + "\n";
    return text;
  }
};

TEST_F(Kills, AtAnyFileCallLeaveARunThatEndsInTheSameBits) {
  expect_survived(chosen(kills(), 6), [&](FaultedRun& run, const Fault& fault) {
    std::string problem = killed(run, fault, false);
    if (problem.empty()) problem = unreadable(run, fault, false);
    return problem.empty() ? goes_on(run) : problem;
  });
}

// What was not synced is lost: with the names of things, where folders were not synced, or without, as file systems
// that write names before contents have it.
TEST_F(Kills, OfTheWholeMachineLeaveARunThatEndsInTheSameBits) {
  for (const FaultedRun::Entries entries : {FaultedRun::Entries::synced, FaultedRun::Entries::all}) {
    expect_survived(chosen(kills(), 3), [&](FaultedRun& run, const Fault& fault) {
      std::string problem = killed(run, fault, true);
      if (!problem.empty()) return problem;
      run.cut_power(entries);
      problem = unreadable(run, fault, true);
      return problem.empty() ? goes_on(run) : problem;
    });
  }
}

// --overwrite: until the new run is there the folder holds the old one, which goes on as if nothing had happened, or
// none; and the same command replaces it.
TEST_F(Kills, WhileARunIsReplacedLeaveTheOldOneOrNone) {
  whole();
  FaultedRun old(data_path());
  // Where config.json is lost it is taken from a checkpoint, which knows no `auto`.
  old.more_ = {"training.seed=3", "training.steps=3", "training.recompute=none"};
  ASSERT_EQ(old.start_run().status, 0);
  const RunContents contents = old.contents();
  const auto replacing = [&] {
    FaultedRun run(old);
    run.more_.clear();
    run.replaces_ = true;
    return run;
  };
  FaultedRun probe = replacing();
  probe.set_fault("0", "kill");
  ASSERT_EQ(probe.start_run().status, 0);
  std::vector<Fault> faults;
  for (const FileCall& call : probe.calls()) {
    if (call.changes()) faults.push_back({call, "kill"});
    if (call.other == "/run/config.json") break;
  }
  ASSERT_GT(faults.size(), 20u);
  int kept = 0;
  for (const Fault& fault : chosen(faults, 8)) {
    FaultedRun run = replacing();
    EXPECT_EQ(killed(run, fault, false), "") << fault.words();
    run.clear();
    if (run.holds_run()) {
      ++kept;
      FaultedRun again(run);
      EXPECT_EQ(again.resume_run().status, 0) << fault.words();
      EXPECT_EQ(differences(contents, again.contents()), "") << fault.words();
    }
    const Finished done = run.start_run();
    EXPECT_EQ(done.status, 0) << fault.words() << done.err;
    EXPECT_EQ(differences(whole().contents, run.contents()), "") << fault.words();
  }
  EXPECT_GT(kept, 0);
}

// By the built program: what copies of this process do is what it does.
TEST_F(Kills, OfTheBuiltProgramLeaveARunThatEndsInTheSameBits) {
  FaultedRun same(data_path(), FaultedRun::By::program);
  same.set_fault("0", "kill");
  ASSERT_EQ(same.start_run().status, 0);
  EXPECT_EQ(differences(whole().contents, same.contents()), "");
  std::vector<Fault> faults;
  for (const FileCall& call : distinct(same.calls()))
    if (call.changes() && call.number % 3 == 0) faults.push_back({call, "kill"});
  for (const Fault& fault : chosen(faults, 2)) {
    FaultedRun run(data_path(), FaultedRun::By::program);
    std::string problem = killed(run, fault, false);
    if (problem.empty()) problem = unreadable(run, fault, false);
    if (problem.empty()) problem = goes_on(run);
    EXPECT_EQ(problem, "") << fault.words();
    run.clear();
    EXPECT_EQ(run.resume_run().status, 0);  // where its state was seen before it was not gone on with
    Finished done = run.run({"info", run.out(), "--checkpoint", "latest"});
    EXPECT_EQ(done.status, 0) << done.err;
    done = run.run({"evaluate", run.out(), "--data", data_path()});
    EXPECT_EQ(done.status, 0) << done.err;
  }
}

}  // namespace
}  // namespace longstride
