// These tests start several processes of the program by hand: how they find one another, and that they train to the
// bytes of one.
#include <sched.h>

#include "apps/by_hand.h"

namespace longstride {
namespace {

TEST_F(Processes, StartedByHandTrainToTheBytesOfOne) {
  const Finished alone = run(training_of("run1", 12));
  ASSERT_EQ(alone.status, 0) << alone.err;
  ASSERT_FALSE(model("run1", 12).empty());
  for (const int size : {2, 4}) {
    const std::string out = "run" + std::to_string(size);
    Run run = start_by_hand(size, training_of(out, 12));
    wait_for_end(run);
    for (std::size_t rank = 0; rank < run.ended.size(); ++rank) {
      EXPECT_EQ(run.ended[rank].status, 0) << run.ended[rank].err;
      if (rank == 0) continue;  // the only one that speaks
      EXPECT_EQ(run.ended[rank].out + run.ended[rank].err, "");
    }
    EXPECT_NE(run.ended[0].err.find(std::to_string(size) + " processes on 1 machine, 1 thread each"), std::string::npos)
        << run.ended[0].err;
    EXPECT_TRUE(model(out, 12) == model("run1", 12)) << size;
  }
}

TEST_F(Processes, ShareTheCoresThatTheyMayRunOn) {
  const auto expect_words = [&](const std::string& out, const std::string& words) {
    Run run = start_by_hand(2, training("train", {"--out", path(out), "--steps", "1", "--set", "training.accumulate=2",
                                                  "--set", "training.lanes=2"}));
    wait_for_end(run);
    EXPECT_NE(run.ended[0].err.find("2 processes on 1 machine, " + words), std::string::npos) << run.ended[0].err;
  };
  const int each = std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
  const std::string share = std::to_string(each) + (each == 1 ? " thread each" : " threads each");
  expect_words("run", share);
  also_ = {"OMP_NUM_THREADS=1", "TORCHELASTIC_RUN_ID=a"};  // torchrun sets the first for all that it starts
  expect_words("torchrun", share);
  also_ = {"OMP_NUM_THREADS=3"};
  expect_words("wished", "3 threads each");
  also_.clear();
  // Bound to one core they have one thread each.
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (int core = 0; CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  expect_words("bound", "1 thread each");
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

TEST_F(Processes, SayWhatTheirStartLacks) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> starts = {
      {{"WORLD_SIZE=2"}, "RANK: is missing, and is needed where WORLD_SIZE is 2"},
      {{"RANK=1"}, "WORLD_SIZE: is missing, and is needed beside RANK"},
      {{"RANK=2", "WORLD_SIZE=2"}, "RANK: needs a whole number in [0, 2), got \"2\""},
      {{"RANK=1", "WORLD_SIZE=1"}, "RANK: needs a whole number in [0, 1), got \"1\""},
      {{"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=65536"},
       "MASTER_PORT: needs a whole number in [1, 65536), got \"65536\""},
      {{"RANK=0", "WORLD_SIZE=two"}, "WORLD_SIZE: needs a whole number in [1, 1048576), got \"two\""},
      {{"RANK=0", "WORLD_SIZE=2"}, "MASTER_ADDR: is missing, and is needed for 2 processes: the host of process 0"},
      {{"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=a"},
       "MASTER_PORT: is missing, and is needed for 2 processes: where process 0 takes connections, 29500 say"},
      {{"SLURM_PROCID=1", "SLURM_NTASKS=4"},
       "MASTER_ADDR: is missing, and is needed for 4 processes: the host of process 0"},
  };
  for (const auto& [variables, sentence] : starts) {
    environment_ = variables;
    EXPECT_EQ(refused(training_of("run", 1)), "longstride train: " + sentence + "\n");
  }
  environment_ = {"SLURM_PROCID=0", "SLURM_NTASKS=4", "ENVIRONMENT=BATCH"};  // a script that sbatch runs is no task
  EXPECT_EQ(run(training_of("batch", 1)).status, 0);
  environment_ = {"RANK=0", "WORLD_SIZE=1"};
  EXPECT_EQ(run(training_of("single", 1)).status, 0);
}

TEST_F(Processes, StartedByHandSayEachWhatIsWrongWithItsLine) {
  for (const char* rank : {"RANK=0", "RANK=1"}) {
    environment_ = {rank, "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=1"};
    EXPECT_NE(refused({"trian"}).find("train"), std::string::npos) << rank;
  }
}

TEST_F(Processes, StartedBySlurmMeetWhereItsListSays) {
  std::vector<pid_t> processes;
  for (const char* rank : {"0", "1"}) {
    environment_ = {std::string("SLURM_PROCID=") + rank,
                    "SLURM_NTASKS=2",
                    "SLURM_STEP_NUM_TASKS=2",
                    "SLURM_LOCALID=0",
                    "SLURM_JOB_ID=4711",
                    "SLURM_STEP_NODELIST=loc[a-b]lhos[t,x],other"};
    processes.push_back(start(training_of("run", 2), "", path(std::string("err") + rank)));
  }
  for (const pid_t process : processes) EXPECT_EQ(finish(process).status, 0) << read("err0") << read("err1");
  EXPECT_NE(read("err0").find("2 processes on 1 machine"), std::string::npos) << read("err0");
}

// Launchers do not bring variables to every machine: who has come waits as long as the first one does.
TEST_F(Processes, WaitForTheOthersAsLongAsTheFirstOneDoes) {
  const std::string port = std::to_string(free_port());
  const auto begin = [&](const std::string& rank, const std::string& patience_s) {
    environment_ = {"RANK=" + rank, "WORLD_SIZE=3", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port,
                    "LONGSTRIDE_MEETING_S=" + patience_s};
    started_.push_back(
        start({"evaluate", path("none"), "--data", path("none")}, path("out" + rank), path("err" + rank)));
  };
  begin("0", "60");
  begin("1", "1");
  wait_ms(12000);  // more than any answer takes
  begin("2", "1");
  Run run{started_, std::vector<Finished>(3)};
  wait_for_end(run);
  EXPECT_EQ(said(run, "longstride: process "), 1) << run.ended[0].err << run.ended[1].err << run.ended[2].err;
  EXPECT_EQ(said(run, "does not exist"), 1) << run.ended[0].err << run.ended[1].err << run.ended[2].err;
}

TEST_F(Processes, RefuseToTrainDifferently) {
  Run run = start_by_hand(2, training_of("run", 5), [](int rank) {
    return std::vector<std::string>{"--set", rank == 0 ? "training.clip=1" : "training.clip=2"};
  });
  wait_for_end(run);
  for (const Finished& one : run.ended) EXPECT_EQ(one.status, 2) << one.err;
  EXPECT_EQ(said(run, "train: process 1 was started otherwise than process 0: training.clip is 2 and not 1\n"), 1)
      << run.ended[0].err << run.ended[1].err;
  EXPECT_FALSE(exists("run"));
}

// What they would do together is then of none of them, or they would wait for one another for ever.
TEST_F(Processes, RefuseToDoDifferentThings) {
  ASSERT_EQ(run(training_of("a", 3, {"--seed", "1"})).status, 0);
  ASSERT_EQ(run(training_of("b", 3, {"--seed", "2"})).status, 0);
  const auto expect_refused = [&](int status, const std::string& sentence,
                                  const std::function<std::vector<std::string>(int rank)>& words) {
    Run run = start_by_hand(2, {}, words);
    EXPECT_LT(wait_for_end(run), 20);
    for (const Finished& one : run.ended) EXPECT_EQ(one.status, status) << one.err;
    EXPECT_GE(said(run, sentence), 1) << run.ended[0].err << run.ended[1].err;
  };
  const auto go_on = [&](const std::string& out, const std::string& steps) {
    std::vector<std::string> words = resuming(out);
    words.insert(words.end(), {"--steps", steps});
    return words;
  };
  expect_refused(1, " is `longstride evaluate` of longstride ", [&](int rank) {
    return rank == 0 ? training_of("run", 5) : std::vector<std::string>{"evaluate", path("a"), "--data", path("text")};
  });
  EXPECT_FALSE(exists("run"));
  expect_refused(
      2, "process 1 was started otherwise than process 0: with --resume --steps 6 and not with --resume --steps 5",
      [&](int rank) { return go_on("a", rank == 0 ? "5" : "6"); });
  expect_refused(1, "train: the file of weights of process 1 of 2 differs from that of process 0",
                 [&](int rank) { return go_on(rank == 0 ? "a" : "b", "5"); });
  expect_refused(1, "which the first process goes on from, is not there for this one",
                 [&](int rank) { return go_on(rank == 0 ? "a" : "nowhere", "5"); });
  expect_refused(2, "evaluate: process 1 was started otherwise than process 0: --min-context is 9 and not 0",
                 [&](int rank) {
                   return std::vector<std::string>{"evaluate",   path("a"),       "--data",
                                                   path("text"), "--min-context", rank == 0 ? "0" : "9"};
                 });
  EXPECT_EQ(last_step("a"), 3);
}

}  // namespace
}  // namespace longstride
