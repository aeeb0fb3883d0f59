// These tests end one of several processes, started by hand and by mpirun, or keep it from going on: all end, say why,
// and the run goes on in another number of them to the bytes of one.
#include <sys/resource.h>
#include <sys/stat.h>

#include "apps/by_hand.h"
#include "longstride/processes.h"
#include "parallel/agreement.h"

namespace longstride {
namespace {

TEST_F(Processes, EndAllWhereOneIsKilled) {
  for (const int victim : {0, 3}) {
    const std::string out = "run" + std::to_string(victim);
    Run run = start_long(out, 4);
    ::kill(run.processes[static_cast<std::size_t>(victim)], SIGKILL);
    EXPECT_LT(wait_for_end(run), 10);
    for (int rank = 0; rank < 4; ++rank)
      EXPECT_EQ(run.ended[static_cast<std::size_t>(rank)].status, rank == victim ? 1009 : 1);
    const std::string sentence = "longstride: process " + std::to_string(victim) + " of 4 on " + machine_name() +
                                 " has died: its connection is closed\n";
    EXPECT_EQ(said(run, sentence), 1) << run.ended[0].err << run.ended[1].err;
    expect_goes_on(out, victim == 0 ? 2 : 1);
  }
}

TEST_F(Processes, EndAllWhereOneIsHalted) {
  for (const auto& [victim, size] : {std::pair(0, 4), std::pair(1, 2)}) {
    const std::string out = "run" + std::to_string(victim);
    Run run = start_long(out, size);
    ::kill(run.processes[static_cast<std::size_t>(victim)], SIGSTOP);
    EXPECT_LT(wait_for_end(run), 15);  // the halted one too: nobody else could end it
    for (int rank = 0; rank < size; ++rank)
      EXPECT_EQ(run.ended[static_cast<std::size_t>(rank)].status, rank == victim ? 1009 : 1);
    const std::string sentence = "longstride: process " + std::to_string(victim) + " of " + std::to_string(size) +
                                 " on " + machine_name() +
                                 " has been silent for 4 s: it is halted, or the network to it is cut\n";
    EXPECT_EQ(said(run, sentence), 1) << run.ended[0].err << run.ended[1].err;
    expect_goes_on(out, 4);
  }
}

// Neither can end by itself, and one alone is known to be silent.
TEST_F(Processes, EndAllWhereTwoAreHalted) {
  for (const std::size_t first : {0u, 1u}) {  // with the first process, and with others alone
    const std::string out = "run" + std::to_string(first);
    Run run = start_long(out, 4);
    for (const std::size_t victim : {first, first + 1}) ::kill(run.processes[victim], SIGSTOP);
    EXPECT_LT(wait_for_end(run), 15);
    for (std::size_t rank = 0; rank < 4; ++rank)
      EXPECT_EQ(run.ended[rank].status, rank == first || rank == first + 1 ? 1009 : 1) << rank;
    expect_goes_on(out, 2);
  }
}

TEST_F(Processes, EndAllWhereTheFirstCannotWrite) {
  Run run = start_long("run", 2);
  // A limit of the first one's files, below that of a checkpoint, is a disk that is full.
  const rlimit limit = {std::filesystem::file_size(path("run/checkpoints/000000003/state.safetensors")) / 2,
                        RLIM_INFINITY};
  ASSERT_EQ(prlimit(run.processes[0], RLIMIT_FSIZE, &limit, nullptr), 0);
  ::kill(run.processes[1], SIGTERM);  // so that it saves
  EXPECT_LT(wait_for_end(run), 10);
  for (const Finished& one : run.ended) EXPECT_EQ(one.status, 1);
  EXPECT_EQ(said(run, "longstride: process 0 of 2 on " + machine_name() + ": "), 1)
      << run.ended[0].err << run.ended[1].err;
  EXPECT_NE(run.ended[0].err.find("File too large\n"), std::string::npos) << run.ended[0].err;
  expect_goes_on("run", 2);
}

// Losses are not finite in all at once: whichever is heard says that no weights are good.
TEST_F(Processes, EndAllWithTheSameExplanationWhereTheyDiverge) {
  Run run = start_by_hand(4, training_of("run", 90,
                                         {"--set", "training.learning_rate=100", "--set", "training.weight_decay=100",
                                          "--set", "training.warmup_steps=0"}));
  wait_for_end(run);
  for (const Finished& one : run.ended) EXPECT_EQ(one.status, 1) << one.err;
  EXPECT_EQ(said(run, "not finite 10 steps in a row"), 1) << run.ended[0].err << run.ended[1].err;
  EXPECT_EQ(said(run, "; there is no checkpoint whose weights are known to be good"), 1) << run.ended[0].err;
  EXPECT_FALSE(exists("run/checkpoints/000000010"));
}

TEST_F(Processes, SaveAndEndWhereAnyIsToldTo) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string out = "run" + std::to_string(signal);
    Run run = start_long(out, 2);
    ::kill(run.processes[signal == SIGINT ? 0 : 1], signal);
    EXPECT_LT(wait_for_end(run), 10);
    for (const Finished& one : run.ended) EXPECT_EQ(one.status, 130) << one.err;
    EXPECT_EQ(said(run, "goes on\n"), 1) << run.ended[0].err;
    EXPECT_GT(last_step(out), 3);
  }
}

class UnderMpirun : public Processes {
 protected:
  void SetUp() override {
    if (!built_with_mpi()) GTEST_SKIP() << "this build has no MPI";
    if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "there is no mpirun";
  }

  // mpirun starts a shell for each, which says its number and becomes the program.
  pid_t start_by_mpirun(int size, const std::vector<std::string>& arguments) {
    write("one", "echo $$ >" + path("pid") + "$OMPI_COMM_WORLD_RANK\nexec " LONGSTRIDE_PROGRAM " \"$@\"\n");
    std::vector<std::string> words = {"mpirun", "-np", std::to_string(size), "--oversubscribe", "sh", path("one")};
    words.insert(words.end(), arguments.begin(), arguments.end());
    environment_ = {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                    "OMPI_MCA_rmaps_base_oversubscribe=1"};
    const pid_t process = start_words(words, path("out"), path("err"));
    environment_.clear();
    return process;
  }
};

TEST_F(UnderMpirun, TrainToTheBytesOfOne) {
  ASSERT_EQ(run(training_of("alone", 12)).status, 0);
  const Finished done = finish(start_by_mpirun(4, training_of("run", 12)));
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("4 processes on 1 machine, 1 thread each"), std::string::npos) << done.err;
  EXPECT_TRUE(!model("alone", 12).empty() && model("run", 12) == model("alone", 12));
}

TEST_F(UnderMpirun, EndAllWhereOneIsKilled) {
  for (const int victim : {0, 1}) {
    const std::string out = "run" + std::to_string(victim);
    const std::size_t log_bytes = prepare(out);
    const pid_t mpirun = start_by_mpirun(2, resuming(out));
    ASSERT_TRUE(steps_are_done(out, log_bytes)) << read("err");
    const Clock::time_point begun = Clock::now();
    ::kill(std::stoi(read("pid" + std::to_string(victim))), SIGKILL);
    const Finished done = finish(mpirun);
    EXPECT_LT(Clock::now() - begun, std::chrono::seconds(30));
    EXPECT_NE(done.status, 0);
    EXPECT_NE(done.err.find("longstride: process " + std::to_string(victim) + " of 2 on " + machine_name() +
                            " has died: its connection is closed\n"),
              std::string::npos)
        << done.err;
    expect_goes_on(out, 1);
  }
}

TEST_F(UnderMpirun, SaveAndEndWhereAnyIsToldTo) {
  const pid_t mpirun = start_by_mpirun(2, training_of("run", 1000000));
  ASSERT_TRUE(steps_are_done("run"));
  ::kill(std::stoi(read("pid1")), SIGTERM);
  const Finished done = finish(mpirun);
  EXPECT_EQ(done.status, 130) << done.err;
  EXPECT_NE(done.err.find("goes on\n"), std::string::npos) << done.err;
  EXPECT_GT(last_step("run"), 0);
}

}  // namespace
}  // namespace longstride
