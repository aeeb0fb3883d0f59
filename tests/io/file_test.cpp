// These tests show that files are whole or absent, and that every error names its file.
#include "io/file.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "io/scratch.h"
#include "io/system.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

TEST(File, GivesTheBytesOfAFile) {
  const Scratch scratch;
  put(scratch / "a", std::string("one\0two", 7));
  const InputFile file(scratch / "a");
  EXPECT_EQ(file.size(), 7);
  EXPECT_EQ(text_of(file.all()), std::string("one\0two", 7));
  EXPECT_EQ(text_of(file.read(4, 2)), "tw");
  EXPECT_EQ(text_of(file.beginning(3)), "one");
  EXPECT_EQ(text_of(file.beginning(100)), std::string("one\0two", 7));
  EXPECT_EQ(read_text(scratch / "a"), std::string("one\0two", 7));
}

TEST(File, ComesInBlocksThatMakeUpTheWhole) {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 700'000; ++i) text += fmt::format("{:03}", i % 1000);
  put(scratch / "a", text);
  std::string got;
  InputFile(scratch / "a").each_block(5, 2'099'999, [&](std::span<const std::uint8_t> block) {
    got.append(block.begin(), block.end());
  });
  EXPECT_TRUE(got == text.substr(5, 2'099'994));
  put(scratch / "empty", "");
  EXPECT_TRUE(InputFile(scratch / "empty").all().empty());
}

TEST(File, ThatBecomesShorterIsAnErrorThatNamesIt) {
  const Scratch scratch;
  put(scratch / "a", std::string(100'000, 'x'));
  const InputFile file(scratch / "a");
  fs::resize_file(scratch / "a", 50'000);
  EXPECT_EQ(file.read(49'999, 1).size(), 1u);
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { file.read(40'000, 20'000); }),
            "\"" + (scratch / "a") + "\" became shorter while it was read");
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { file.all(); }),
            "\"" + (scratch / "a") + "\" became shorter while it was read");
}

TEST(File, StaysTheOneThatWasOpened) {
  const Scratch scratch;
  put(scratch / "a", "text");
  InputFile first(scratch / "a");
  write_file_atomically(scratch / "a", "other");
  const InputFile second = std::move(first);
  EXPECT_EQ(text_of(second.all()), "text");
  EXPECT_NE(second.inode(), InputFile(scratch / "a").inode());
}

TEST(File, IsReadFromAPipeUntilItsEnd) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  std::thread writer([&] { put(scratch / "pipe", std::string(200'000, 'x')); });
  EXPECT_EQ(read_text(scratch / "pipe").size(), 200'000u);
  writer.join();
}

TEST(File, AMissingFileIsAnErrorThatNamesIt) {
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { InputFile("/nowhere/a.txt"); }),
            "cannot open \"/nowhere/a.txt\": No such file or directory");
}

TEST(File, ADirectoryIsAnErrorThatNamesIt) {
  const Scratch scratch;
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { InputFile file(scratch.path()); }),
            "\"" + scratch.path() + "\" is a directory, not a file");
}

TEST(File, APipeIsAnErrorAndNotAWait) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { InputFile file(scratch / "pipe"); }),
            "\"" + (scratch / "pipe") + "\" is neither a file nor a directory; copy what it gives into a file first");
}

TEST(File, AFileWithoutPermissionIsRefusedBySystem) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const Scratch scratch;
  put(scratch / "a", "text");
  ::chmod((scratch / "a").c_str(), 0);
  EXPECT_EQ(error_words(ErrorKind::exhausted, [&] { InputFile file(scratch / "a"); }),
            "cannot open \"" + (scratch / "a") + "\": Permission denied");
}

TEST(File, AtomicWritingReplacesTheFileAndLeavesNothingElse) {
  const Scratch scratch;
  put(scratch / "a", "old");
  write_file_atomically(scratch / "a", "new text");
  EXPECT_EQ(get(scratch / "a"), "new text");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a"});
}

TEST(File, ALinkStaysOneAndItsTargetIsReplaced) {
  const Scratch scratch;
  fs::create_directory(scratch / "folder");
  put(scratch / "folder/target", "old");
  fs::create_symlink("folder/target", scratch / "link");
  fs::create_symlink("link", scratch / "link to link");
  write_file_atomically(scratch / "link to link", "new");
  EXPECT_TRUE(fs::is_symlink(scratch / "link to link") && fs::is_symlink(scratch / "link"));
  EXPECT_EQ(get(scratch / "folder/target"), "new");
  fs::create_symlink("not there", scratch / "open");
  write_file_atomically(scratch / "open", "made");
  EXPECT_TRUE(fs::is_symlink(scratch / "open"));
  EXPECT_EQ(get(scratch / "not there"), "made");
}

TEST(File, LinksThatGoInACircleAreAnErrorThatNamesThePath) {
  const Scratch scratch;
  fs::create_symlink("b", scratch / "a");
  fs::create_symlink("a", scratch / "b");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { write_file_atomically(scratch / "a", "text"); }),
            "cannot write \"" + (scratch / "a") + "\": Too many levels of symbolic links");
  EXPECT_TRUE(fs::is_symlink(scratch / "a") && fs::is_symlink(scratch / "b"));
}

TEST(File, APipeTakesTheBytesAndStaysAPipe) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = get(scratch / "pipe"); });
  write_file_atomically(scratch / "pipe", "text");
  reader.join();
  EXPECT_EQ(got, "text");
  EXPECT_TRUE(fs::is_fifo(scratch / "pipe"));
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"pipe"});
}

TEST(File, ADeviceStaysADevice) {
  write_file_atomically("/dev/null", "text");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(File, ADescriptorOfThisProcessIsWrittenWhereItStands) {
  const Scratch scratch;
  put(scratch / "a", "before ");
  const Descriptor open(::open((scratch / "a").c_str(), O_WRONLY | O_APPEND));
  fs::create_symlink("/proc/self/fd/" + std::to_string(open.get()), scratch / "like dev stdout");
  write_file_atomically(scratch / "like dev stdout", "after");
  EXPECT_EQ(get(scratch / "a"), "before after");
}

TEST(File, WhatKilledWritersLeftIsRemovedAndWhatIsBeingWrittenStays) {
  const Scratch scratch;
  put(scratch / "a.123-0.partial", "half");
  put(scratch / "b.123-0.partial", "of another");
  put(scratch / "a.data", "whole");
  AtomicFile file(scratch / "a");
  file.append(as_bytes("new"));
  remove_abandoned(scratch / "a");
  EXPECT_EQ(scratch.names().size(), 3u);  // a.data, the other's, and the one that is being written
  EXPECT_FALSE(fs::exists(scratch / "a.123-0.partial"));
  file.commit();
  EXPECT_EQ(get(scratch / "a"), "new");
}

TEST(File, AnAtomicFileThatIsNotCommittedLeavesTheOldOne) {
  const Scratch scratch;
  put(scratch / "a", "old");
  {
    AtomicFile file(scratch / "a");
    file.append(as_bytes("half of the new"));
  }
  EXPECT_EQ(get(scratch / "a"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a"});
}

TEST(File, AnAtomicFileCanBeOverwrittenBeforeItIsCommitted) {
  const Scratch scratch;
  AtomicFile file(scratch / "a");
  file.append(as_bytes("0000 text"));
  file.overwrite(1, as_bytes("12"));
  file.append(as_bytes(" end"));
  file.commit();
  EXPECT_EQ(get(scratch / "a"), "0120 text end");
}

TEST(File, HasANameThatOneOfSeveralTakes) {
  const Scratch scratch;
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) threads.emplace_back([&] { taken += take_name(scratch / "a"); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(get(scratch / "a"), "");
  put(scratch / "b", "mine");
  EXPECT_FALSE(take_name(scratch / "b"));
  EXPECT_EQ(get(scratch / "b"), "mine");
  fs::create_symlink("nowhere", scratch / "link");
  EXPECT_FALSE(take_name(scratch / "link"));
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { take_name(scratch / "none/a"); }),
            "cannot write \"" + (scratch / "none/a") + "\": No such file or directory");
}

TEST(File, AParentThatIsAFileIsAnErrorThatNamesThePath) {
  const Scratch scratch;
  put(scratch / "a", "old");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { write_file_atomically(scratch / "a/b", "text"); }),
            "cannot write \"" + (scratch / "a/b") + "\": Not a directory");
  EXPECT_EQ(get(scratch / "a"), "old");
}

TEST(File, ADirectoryInTheFilesPlaceIsAnErrorAndLeavesNothing) {
  const Scratch scratch;
  fs::create_directory(scratch / "a");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { write_file_atomically(scratch / "a", "text"); }),
            "cannot write \"" + (scratch / "a") + "\": Is a directory");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a"});
}

TEST(File, WhetherItCanBeWrittenIsKnownBeforeAndLeavesNothing) {
  const Scratch scratch;
  put(scratch / "there", "as it was");
  for (const std::string& path : {scratch / "there", scratch / "absent", std::string("/dev/null")})
    require_writable(path);
  EXPECT_EQ(read_text(scratch / "there"), "as it was");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"there"});
  const auto refusal = [](const std::string& path) {
    return error_words(ErrorKind::invalid_argument, [&] { require_writable(path); });
  };
  EXPECT_EQ(refusal(scratch / "none/file"),
            "cannot write \"" + (scratch / "none/file") + "\": No such file or directory");
  EXPECT_EQ(refusal(scratch / "there/file"), "cannot write \"" + (scratch / "there/file") + "\": Not a directory");
  for (const std::string& folder : {scratch / "", std::string("."), std::string("..")})
    EXPECT_EQ(refusal(folder), "cannot write \"" + folder + "\": Is a directory");
  ASSERT_EQ(::mkfifo((scratch / "pipe").c_str(), 0600), 0);  // nobody reads it: opening it would wait
  require_writable(scratch / "pipe");
}

TEST(File, SaysByItsFirstBytesWhichMediaItIs) {
  for (const char* picture : {"\x89PNG\r\n\x1a\n", "\xff\xd8\xff\xe0", "GIF89a", "RIFF....WEBPVP8 "})
    EXPECT_EQ(media_words(picture), "a picture");
  for (const char* recording : {"fLaC", "RIFF....WAVEfmt "}) EXPECT_EQ(media_words(recording), "a recording");
  for (const char* other : {"", "RIFF", "RIFF....AVI LIST", "a text", "\xff\xd8"}) EXPECT_EQ(media_words(other), "");
}

// RLIMIT_FSIZE makes write fail in its middle as a full disk does.
TEST(File, AWriteThatTheSystemCutsLeavesTheOldFileAndNothingElse) {
  const Scratch scratch;
  put(scratch / "a", "old");
  struct rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 4096;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string words =
      error_words(ErrorKind::exhausted, [&] { write_file_atomically(scratch / "a", std::string(100000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(words, "cannot write \"" + (scratch / "a") + "\": File too large");
  EXPECT_EQ(get(scratch / "a"), "old");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a"});
}

TEST(File, AFullDeviceIsAnErrorInTheSystemsWords) {
  const Descriptor full(::open("/dev/full", O_WRONLY));
  if (full.get() < 0) GTEST_SKIP() << "no /dev/full here";
  EXPECT_EQ(error_words(ErrorKind::exhausted, [&] { write_all(full.get(), as_bytes("text"), "/dev/full"); }),
            "cannot write \"/dev/full\": No space left on device");
}

TEST(Lines, AreAppendedToWhatIsThere) {
  const Scratch scratch;
  put(scratch / "log", "one\n");
  LineWriter lines(scratch / "log");
  lines.write("two");
  lines.sync();
  lines.write("three");
  EXPECT_EQ(get(scratch / "log"), "one\ntwo\nthree\n");
}

TEST(Lines, ALastLineThatACrashCutIsDropped) {
  const Scratch scratch;
  put(scratch / "log", "one\ntw");
  LineWriter lines(scratch / "log");
  EXPECT_EQ(get(scratch / "log"), "one\n");
  lines.write("three");
  EXPECT_EQ(get(scratch / "log"), "one\nthree\n");
}

TEST(Lines, AFileOfOneCutLineBecomesEmpty) {
  const Scratch scratch;
  put(scratch / "log", "{\"step\":");
  LineWriter lines(scratch / "log");
  EXPECT_EQ(get(scratch / "log"), "");
}

TEST(Lines, ThoseThatTheCallerDoesNotKeepAreDropped) {
  const Scratch scratch;
  put(scratch / "log", "1\n2\n9\n3\n10");
  LineWriter lines(scratch / "log", [](std::string_view line) { return line < "5"; });
  lines.write("4");
  EXPECT_EQ(get(scratch / "log"), "1\n2\n3\n4\n");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"log"});
}

TEST(Directory, AppearsWholeWhenItIsCommitted) {
  const Scratch scratch;
  const std::string aside = begin_directory(scratch / "run/000001000");
  EXPECT_EQ(aside, scratch / "run/000001000.partial");
  put(aside + "/a", "text");
  fs::create_directory(aside + "/below");
  put(aside + "/below/b", "more");
  EXPECT_FALSE(fs::exists(scratch / "run/000001000"));
  commit_directory(scratch / "run/000001000");
  EXPECT_EQ(get(scratch / "run/000001000/below/b"), "more");
  EXPECT_FALSE(fs::exists(aside));
}

TEST(Directory, WhatAnInterruptedRunLeftIsRemoved) {
  const Scratch scratch;
  put(begin_directory(scratch / "a") + "/stale", "text");
  put(begin_directory(scratch / "a/") + "/fresh", "text");
  commit_directory(scratch / "a/");
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"a", "a/fresh"}));
}

TEST(Directory, TakesThePlaceOfOneThatIsThere) {
  const Scratch scratch;
  fs::create_directory(scratch / "a");
  put(scratch / "a/old", "text");
  put(begin_directory(scratch / "a") + "/file", "text");
  commit_directory(scratch / "a");
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"a", "a/file"}));
}

TEST(Directory, WhoseParentIsAFileIsAnErrorThatNamesIt) {
  const Scratch scratch;
  put(scratch / "a", "text");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { begin_directory(scratch / "a/b"); }),
            "cannot make the directory \"" + (scratch / "a/b.partial") + "\": Not a directory");
}

TEST(Directory, CommittingWhatWasNeverBegunIsAnError) {
  const Scratch scratch;
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { commit_directory(scratch / "a"); }),
            "cannot read \"" + (scratch / "a.partial") + "\": No such file or directory");
}

TEST(Symlink, PointsToItsNewTargetInOneStep) {
  const Scratch scratch;
  put(scratch / "a", "one");
  put(scratch / "b", "two");
  replace_symlink("a", scratch / "best");
  EXPECT_EQ(get(scratch / "best"), "one");
  replace_symlink("b", scratch / "best");
  EXPECT_EQ(get(scratch / "best"), "two");
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"a", "b", "best"}));
}

TEST(Symlink, TakesThePlaceOfWhatAKilledWriterLeft) {
  const Scratch scratch;
  put(scratch / "a", "one");
  fs::create_symlink("nowhere", scratch / "best.partial");
  replace_symlink("a", scratch / "best");
  EXPECT_EQ(get(scratch / "best"), "one");
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"a", "best"}));
}

TEST(Symlink, DoesNotReplaceADirectory) {
  const Scratch scratch;
  fs::create_directory(scratch / "best");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { replace_symlink("a", scratch / "best"); }),
            "cannot write \"" + (scratch / "best") + "\": Is a directory");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"best"});
}

}  // namespace
}  // namespace longstride
