// These tests claim, open and lock run directories, and look at what kills leave there.
#include "train/run_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "io/scratch.h"
#include "longstride/checkpoint.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

class Run : public testing::Test {
 protected:
  std::string path() const { return scratch_ / "run"; }
  void make(const std::string& name) const { fs::create_directories(path() + "/" + name); }
  void file(const std::string& name) const {
    fs::create_directories(fs::path(path() + "/" + name).parent_path());
    put(path() + "/" + name, "text");
  }
  bool there(const std::string& name) const { return fs::exists(fs::symlink_status(path() + "/" + name)); }
  void begin(bool overwrite = false) const { RunDirectory::claim(path(), overwrite).begin({}); }
  std::string refused(bool overwrite) const {
    return error_words(ErrorKind::invalid_argument, [&] { begin(overwrite); });
  }

  Scratch scratch_;
};

TEST_F(Run, ThatDoesNotBeginLeavesNothing) {
  { const RunDirectory claimed = RunDirectory::claim(scratch_ / "a/b/run", false); }
  EXPECT_EQ(scratch_.names(), std::vector<std::string>{});
  RunDirectory::claim(scratch_ / "a/b/run", false).begin({});
  EXPECT_TRUE(fs::exists(scratch_ / "a/b/run/config.json"));
}

TEST_F(Run, ThatTheSystemRefusesToMakeIsAnErrorThatNamesIt) {
  EXPECT_EQ(error_words(ErrorKind::exhausted, [] { RunDirectory::claim("/proc/nothing", false); }),
            "train: cannot make the folder \"/proc/nothing\": its file system takes none");
}

TEST_F(Run, IsTrainedByOneProcessAtATime) {
  const std::string words = "train: run \"" + path() + "\" is being trained by another process";
  const auto open = [&] { RunDirectory::open(path()); };
  {
    RunDirectory claimed = RunDirectory::claim(path(), false);
    EXPECT_EQ(refused(false), words);
    claimed.begin({});
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, open), words);
    EXPECT_EQ(refused(true), words);
    EXPECT_TRUE(there("config.json"));
  }
  {
    const RunDirectory opened = RunDirectory::open(path());
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, open), words);
    EXPECT_EQ(refused(true), words);
  }
  open();
  begin(true);
}

// Some come before the folder is made, some when the one that made it gives up, as half of the time one does, and takes
// it away.
TEST_F(Run, IsBegunByOneOfThoseThatComeAtOnce) {
  constexpr int kRounds = 200, kThreads = 4;
  for (int round = 0; round < kRounds; ++round) {
    const std::string place = scratch_ / ("a" + std::to_string(round) + "/run");
    const bool one_gives_up = round % 2 == 0;
    std::barrier begin(kThreads), end(kThreads);
    std::atomic<int> begun = 0, given_up = 0;
    const auto come = [&](bool gives_up) {
      std::optional<RunDirectory> run;
      begin.arrive_and_wait();
      try {
        run.emplace(RunDirectory::claim(place, false));
        run->require_place();
        if (gives_up) {
          run.reset();
          ++given_up;
        } else {
          run->begin({});
          ++begun;
        }
      } catch (const Error& error) {
        const std::string words = error.what();
        EXPECT_TRUE(words.ends_with("is being trained by another process") || words.find("holds a run") != words.npos)
            << words;
      }
      end.arrive_and_wait();  // until then it is held
    };
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back(come, one_gives_up && thread == 0);
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(begun, 1);
    EXPECT_GE(begun + given_up, 1);
    EXPECT_EQ(fs::exists(place + "/config.json"), begun == 1) << round;
  }
}

TEST_F(Run, ThatIsNoLongerWhereItWasIsWrittenNoMore) {
  const auto save = [](RunDirectory& run) { run.save_checkpoint(1, [](const std::string&) {}); };
  const std::string words = "train: run \"" + path() + "\" was moved or removed while it was trained";
  const auto refused = [&](RunDirectory& run) {
    return error_words(ErrorKind::exhausted, [&] { save(run); }).substr(0, words.size());
  };
  begin();
  {
    RunDirectory run = RunDirectory::open(path());
    run.require_place();
    fs::rename(path(), scratch_ / "elsewhere");
    EXPECT_EQ(refused(run), words);
    EXPECT_FALSE(fs::exists(path()));
    begin();  // another one in its place
    EXPECT_EQ(refused(run), words);
    EXPECT_FALSE(there("checkpoints/000000001"));
  }
  RunDirectory other = RunDirectory::open(path());
  fs::remove_all(path());
  EXPECT_EQ(refused(other), words);
  EXPECT_FALSE(fs::exists(path()));
  RunDirectory moved = RunDirectory::open(scratch_ / "elsewhere");
  save(moved);
  EXPECT_TRUE(fs::exists(scratch_ / "elsewhere/checkpoints/000000001"));
}

TEST_F(Run, ThatIsMovedWhileACheckpointIsWrittenSaysSo) {
  RunDirectory run = RunDirectory::claim(path(), false);
  run.begin({});
  const auto move = [&](const std::string&) { fs::rename(path(), scratch_ / "moved"); };
  const std::string words = error_words(ErrorKind::exhausted, [&] { run.save_checkpoint(3, move); });
  EXPECT_NE(words.find("was moved or removed while it was trained"), std::string::npos) << words;
}

TEST_F(Run, BeginsWhereAnInterruptedStartLeftItsFolders) {
  make("checkpoints/000000000.partial");
  make("samples");
  make("tensorboard");
  file("config.json.123-0.partial");
  file("cache/0123456789abcdef01234567.data");
  begin();
  EXPECT_TRUE(there("config.json"));
  EXPECT_TRUE(there("cache/0123456789abcdef01234567.data"));
  EXPECT_FALSE(there("config.json.123-0.partial"));
  EXPECT_FALSE(there("checkpoints/000000000.partial"));
}

TEST_F(Run, DoesNotBeginWithinAnother) {
  begin();
  for (const std::string part : {"samples/run", "checkpoints/run", "cache", "config.json/run"}) {
    const std::string within = path() + "/" + part;
    EXPECT_EQ(
        error_words(ErrorKind::invalid_argument, [&] { RunDirectory::claim(within, true); }),
        "--out: \"" + within + "\" belongs to the run \"" + fs::canonical(path()).string() + "\"; name another folder");
  }
  RunDirectory::claim(path() + "/second", false).begin({});
}

TEST_F(Run, WhoseNameTheSystemDoesNotTakeIsAnErrorThatNamesIt) {
  const std::string place = scratch_ / std::string(300, 'x');
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { RunDirectory::claim(place, false); }),
            "cannot write \"" + place + "\": File name too long");
}

// Folders are runs where they hold more than another program's configuration.
TEST_F(Run, OwnsWhatItWritesAndNothingElse) {
  EXPECT_EQ(run_of(path() + "/config.json"), "");
  file("config.json");
  EXPECT_EQ(run_of(path() + "/config.json"), "");
  make("checkpoints");
  const std::string canonical = fs::canonical(path());
  for (const std::string own : {"config.json", "log.jsonl", "best", "best/model.safetensors", "cache/a", "samples",
                                "checkpoints/000000001/notes", "tensorboard/train/events", "log.jsonl.1-2.partial"})
    EXPECT_EQ(run_of(path() + "/" + own), canonical) << own;
  for (const std::string other : {"", ".", "..", "page.html", "config.json.txt", "mine/config.json", "sample.png"})
    EXPECT_EQ(run_of(path() + "/" + other), "") << other;
  make("samples");
  fs::create_symlink("run/samples", scratch_ / "link");
  fs::create_symlink("link/new.txt", scratch_ / "second");
  EXPECT_EQ(run_of(scratch_ / "second"), canonical);
  EXPECT_EQ(run_of(scratch_ / "link/../samples/a"), canonical);  // of where the link leads
  fs::remove(path() + "/config.json");
  EXPECT_EQ(run_of(path() + "/best"), "");
  file("checkpoints/000000003/model.safetensors");
  EXPECT_EQ(run_of(path() + "/best"), canonical);
}

TEST_F(Run, DoesNotBeginAmongFilesOfOthers) {
  for (const std::string name : {"letter", "letter.partial", "samples/drum.wav", "checkpoints/000000001/weights",
                                 "checkpoints/mine.partial", "tensorboard/events", "best/model", "log.jsonl"}) {
    file(name);
    for (const bool overwrite : {false, true}) {
      EXPECT_EQ(refused(overwrite), "--out: \"" + path() + "\" holds other files; name a folder that is new or empty");
    }
    EXPECT_TRUE(there(name));
    fs::remove_all(path());
  }
}

// As kills leave it at each point of --overwrite: the old run without its config.json, which its checkpoints know, or
// none from the moment on when its checkpoints have another name.
TEST_F(Run, ThatIsBeingReplacedIsTheOldOneOrNone) {
  begin();
  file("log.jsonl");
  file("checkpoints/000000003/model.safetensors");
  fs::remove(path() + "/config.json");
  EXPECT_EQ(RunDirectory::open(path()).checkpoints(), std::vector<std::int64_t>{3});
  EXPECT_EQ(refused(false),
            "--out: \"" + path() + "\" holds a run already; --resume goes on with it, --overwrite replaces it");
  fs::rename(path() + "/checkpoints", path() + "/checkpoints.partial");
  const auto open = [&] { RunDirectory::open(path()); };
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, open),
            "--resume: \"" + path() + "\" holds no run (no config.json); start one without --resume");
  for (const char* old : {"samples/000000003.txt", "tensorboard/events", "notes"}) file(old);
  begin();
  EXPECT_TRUE(there("config.json"));
  EXPECT_TRUE(there("notes"));
  for (const char* old : {"log.jsonl", "samples/000000003.txt", "tensorboard/events", "checkpoints.partial"})
    EXPECT_FALSE(there(old)) << old;
}

TEST_F(Run, WithoutItsConfigurationIsReplacedToo) {
  begin();
  file("checkpoints/000000003/model.safetensors");
  fs::remove(path() + "/config.json");
  fs::create_symlink("nowhere", path() + "/config.json");
  begin(true);
  EXPECT_FALSE(fs::is_symlink(path() + "/config.json"));
  EXPECT_FALSE(there("checkpoints/000000003"));
}

// A pipe in the place of a file would be waited for, for ever.
TEST_F(Run, ReadsNoPipesAndGoesPastWhatIsNoCheckpoint) {
  begin();
  file("checkpoints/000000003");
  const RunDirectory run = RunDirectory::open(path());
  EXPECT_EQ(run.checkpoints(), std::vector<std::int64_t>{});
  fs::remove(run.config_path());
  ASSERT_EQ(::mkfifo(run.config_path().c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo(run.log_path().c_str(), 0600), 0);
  const std::string words = "\" is neither a file nor a directory; copy what it gives into a file first",
                    log_words =
                        "\" is a pipe or a device and must be a plain file; put one in its place, or move it away";
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { run.config(); }), "\"" + run.config_path() + words);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { const LineWriter lines(run.log_path()); }),
            "\"" + run.log_path() + log_words);
}

TEST_F(Run, IsOpenedWithoutWhatKilledProcessesLeft) {
  begin();
  const std::vector<std::string> left = {"config.json.12-0.partial",
                                         "log.jsonl.12-3.partial",
                                         "checkpoints/000000004.partial/model.safetensors",
                                         "checkpoints/000000005/model.safetensors.7-1.partial",
                                         "samples/000000004.txt.12-9.partial",
                                         "best.copy.partial/model.safetensors"};
  const std::vector<std::string> kept = {"letter.partial",        "checkpoints/000000005/model.safetensors",
                                         "samples/000000004.txt", "checkpoints/notes.partial",
                                         "samples/mine.partial",  "checkpoints/000000003.damaged/model.safetensors"};
  for (const auto* names : {&left, &kept})
    for (const std::string& name : *names) file(name);
  fs::create_symlink("nowhere", path() + "/best.partial");
  RunDirectory::open(path());
  for (const std::string& name : left) EXPECT_FALSE(there(name)) << name;
  EXPECT_FALSE(there("best.partial"));
  EXPECT_FALSE(there("best.copy.partial"));
  EXPECT_FALSE(there("checkpoints/000000004.partial"));
  for (const std::string& name : kept) EXPECT_TRUE(there(name)) << name;
}

TEST_F(Run, SetsACheckpointAsideSoThatItCountsNoMore) {
  begin();
  file("checkpoints/000000007/model.safetensors");
  file("checkpoints/000000008/model.safetensors");
  file("checkpoints/000000008.damaged/earlier");
  RunDirectory run = RunDirectory::open(path());
  EXPECT_EQ(run.checkpoints(), (std::vector<std::int64_t>{7, 8}));
  EXPECT_EQ(run.set_aside(8), path() + "/checkpoints/000000008.damaged");
  EXPECT_EQ(run.checkpoints(), std::vector<std::int64_t>{7});
  EXPECT_TRUE(there("checkpoints/000000008.damaged/model.safetensors"));
}

}  // namespace
}  // namespace longstride
