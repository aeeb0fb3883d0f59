// These tests start several processes of the program, by hand and by mpirun: they train to the bytes of one, and all
// end when one does.
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "apps/program.h"
#include "longstride/processes.h"
#include "parallel/processes.h"

namespace longstride {
namespace {

using Clock = std::chrono::steady_clock;

void wait_ms(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

std::string host() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

class Processes : public Commands {
 protected:
  struct Run {
    std::vector<pid_t> processes;  // 0: has ended, and what it left is in `ended`
    std::vector<Finished> ended;
  };

  ~Processes() override {
    for (const pid_t process : started_) ::kill(process, SIGKILL);
    for (const pid_t process : started_) waitpid(process, nullptr, 0);
  }

  // As somebody starts them by hand. more: of one process, by its rank.
  Run start_by_hand(int size, const std::vector<std::string>& arguments,
                    const std::function<std::vector<std::string>(int rank)>& more = {}) {
    const int port = free_port();
    Run run;
    for (int rank = 0; rank < size; ++rank) {
      environment_ = {"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(size), "MASTER_ADDR=127.0.0.1",
                      "MASTER_PORT=" + std::to_string(port), "LONGSTRIDE_SILENCE_S=4"};
      environment_.insert(environment_.end(), also_.begin(), also_.end());
      std::vector<std::string> words = arguments;
      if (more) {
        const std::vector<std::string> added = more(rank);
        words.insert(words.end(), added.begin(), added.end());
      }
      run.processes.push_back(start(words, path("out" + std::to_string(rank)), path("err" + std::to_string(rank))));
      started_.push_back(run.processes.back());
    }
    environment_.clear();
    run.ended.resize(run.processes.size());
    return run;
  }

  // Waits for all but those that are left out. How long it took.
  double wait_for_end(Run& run, int left_out = -1) {
    const Clock::time_point begun = Clock::now();
    for (std::size_t rank = 0; rank < run.processes.size(); ++rank) {
      if (static_cast<int>(rank) == left_out) continue;
      int status = 0;
      while (waitpid(run.processes[rank], &status, WNOHANG) == 0 && Clock::now() - begun < std::chrono::minutes(1))
        wait_ms(5);
      std::erase(started_, run.processes[rank]);
      const std::string number = std::to_string(rank);
      run.ended[rank] = {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read("out" + number),
                         read("err" + number)};
    }
    return std::chrono::duration<double>(Clock::now() - begun).count();
  }

  std::vector<std::string> training_of(const std::string& out, int steps, const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {
        "--out", path(out),          "--steps",    std::to_string(steps), "--set", "training.accumulate=4",
        "--set", "training.lanes=4", "--threads=1"};
    all.insert(all.end(), more.begin(), more.end());
    return training("train", all);
  }

  std::string model(const std::string& out, int step) const {
    char name[64];
    std::snprintf(name, sizeof name, "/checkpoints/%09d/model.safetensors", step);
    return read(out + name);
  }

  bool comes(const std::function<bool()>& what) const {
    for (int tries = 0; tries < 1200; ++tries, wait_ms(50))
      if (what()) return true;
    return false;
  }

  // More than there were.
  bool steps_are_done(const std::string& out, std::size_t log_bytes = 0) const {
    return comes([&] { return read(out + "/log.jsonl").size() > log_bytes + 1500; });
  }

  int last_step(const std::string& out) const {
    const Finished info = run({"info", path(out), "--checkpoint", "latest", "--json"});
    EXPECT_EQ(info.status, 0) << info.err;
    return info.json()["step"];
  }

  void set_steps(const std::string& out, int then, int now) const {
    std::string config = read(out + "/config.json");
    const std::string before = "\"steps\": " + std::to_string(then) + ",";
    const auto at = config.find(before);
    ASSERT_NE(at, std::string::npos) << config;
    write(out + "/config.json", config.replace(at, before.size(), "\"steps\": " + std::to_string(now) + ","));
  }

  std::vector<std::string> resuming(const std::string& out) const {
    return {"train", "--resume", "--out", path(out), "--threads=1"};
  }

  // A run with a checkpoint at step 3, which would not end where it goes on.
  std::size_t prepare(const std::string& out) {  // returns the bytes of its log
    EXPECT_EQ(run(training_of(out, 3, {"--quiet"})).status, 0);
    set_steps(out, 3, 1000000);
    return read(out + "/log.jsonl").size();
  }

  Run start_long(const std::string& out, int size) {
    const std::size_t log_bytes = prepare(out);
    Run run = start_by_hand(size, resuming(out));
    EXPECT_TRUE(steps_are_done(out, log_bytes)) << read("err0");
    return run;
  }

  // It goes on in another number of processes, to the bytes of a run that nothing happened to.
  void expect_goes_on(const std::string& out, int size) {
    EXPECT_EQ(last_step(out), 3);
    set_steps(out, 1000000, 20);
    Run again = start_by_hand(size, resuming(out));
    wait_for_end(again);
    for (const Finished& one : again.ended) EXPECT_EQ(one.status, 0) << one.err;
    if (!exists("whole")) {
      prepare("whole");
      set_steps("whole", 1000000, 20);
      EXPECT_EQ(run(resuming("whole")).status, 0);
    }
    EXPECT_TRUE(!model(out, 20).empty() && model(out, 20) == model("whole", 20)) << out;
  }

  // How often a sentence stands in what all processes said.
  static int said(const Run& run, const std::string& sentence) {
    int count = 0;
    for (const Finished& one : run.ended)
      for (std::size_t at = 0; (at = one.err.find(sentence, at)) != std::string::npos; ++at) ++count;
    return count;
  }

  std::vector<pid_t> started_;
  std::vector<std::string> also_;  // variables
};

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

TEST_F(Processes, StartedBySlurmMeetWhereItsListSays) {
  std::vector<pid_t> processes;
  for (const char* rank : {"0", "1"}) {
    environment_ = {std::string("SLURM_PROCID=") + rank,
                    "SLURM_NTASKS=2",
                    "SLURM_STEP_NUM_TASKS=2",
                    "SLURM_LOCALID=0",
                    "SLURM_JOB_ID=4711",
                    "SLURM_STEP_NODELIST=localhos[t,x]"};
    processes.push_back(start(training_of("run", 2), "", path(std::string("err") + rank)));
  }
  for (const pid_t process : processes) EXPECT_EQ(finish(process).status, 0) << read("err0") << read("err1");
  EXPECT_NE(read("err0").find("2 processes on 1 machine"), std::string::npos) << read("err0");
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

TEST_F(Processes, EndAllWhereOneIsKilled) {
  for (const int victim : {0, 3}) {
    const std::string out = "run" + std::to_string(victim);
    Run run = start_long(out, 4);
    ::kill(run.processes[static_cast<std::size_t>(victim)], SIGKILL);
    EXPECT_LT(wait_for_end(run), 10);
    for (int rank = 0; rank < 4; ++rank)
      EXPECT_EQ(run.ended[static_cast<std::size_t>(rank)].status, rank == victim ? 1009 : 1);
    const std::string sentence = "longstride: process " + std::to_string(victim) + " of 4 on " + host() +
                                 " has died: its connection is closed\n";
    EXPECT_EQ(said(run, sentence), 1) << run.ended[0].err << run.ended[1].err;
    expect_goes_on(out, victim == 0 ? 2 : 1);
  }
}

TEST_F(Processes, EndAllWhereOneIsHalted) {
  for (const int victim : {0, 1}) {
    const std::string out = "run" + std::to_string(victim);
    Run run = start_long(out, 2);
    ::kill(run.processes[static_cast<std::size_t>(victim)], SIGSTOP);
    EXPECT_LT(wait_for_end(run), 15);  // the halted one too: nobody else could end it
    EXPECT_EQ(run.ended[static_cast<std::size_t>(1 - victim)].status, 1);
    EXPECT_EQ(run.ended[static_cast<std::size_t>(victim)].status, 1009);
    const std::string sentence = "longstride: process " + std::to_string(victim) + " of 2 on " + host() +
                                 " has been silent for 4 s: it is halted, or the network to it is cut\n";
    EXPECT_EQ(said(run, sentence), 1) << run.ended[0].err << run.ended[1].err;
    expect_goes_on(out, 4);
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
  EXPECT_EQ(said(run, "longstride: process 0 of 2 on " + host() + ": "), 1) << run.ended[0].err << run.ended[1].err;
  EXPECT_NE(run.ended[0].err.find("File too large\n"), std::string::npos) << run.ended[0].err;
  expect_goes_on("run", 2);
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
    EXPECT_NE(done.err.find("longstride: process " + std::to_string(victim) + " of 2 on " + host() +
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
