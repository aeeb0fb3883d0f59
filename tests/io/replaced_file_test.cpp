// These tests show what of a file stays when it is written anew, and what system calls that are interrupted or take
// nothing come to.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <climits>
#include <cstddef>

#include "io/file.h"
#include "io/scratch.h"
#include "io/system.h"

namespace longstride {
namespace {

unsigned mode_of(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST(ReplacedFile, KeepsItsMode) {
  const Scratch scratch;
  for (const unsigned mode : {0600u, 0640u, 0666u, 0755u}) {
    put(scratch / "a", "old");
    ASSERT_EQ(::chmod((scratch / "a").c_str(), mode), 0);
    write_file_atomically(scratch / "a", "new");
    EXPECT_EQ(get(scratch / "a"), "new");
    EXPECT_EQ(mode_of(scratch / "a"), mode);
  }
  std::filesystem::remove(scratch / "a");
  put(scratch / "private", "old");
  ASSERT_EQ(::chmod((scratch / "private").c_str(), 0600), 0);
  std::filesystem::create_symlink("private", scratch / "link");
  AtomicFile half(scratch / "link");
  for (const std::string& name : scratch.names())  // nobody else sees it while it is written
    EXPECT_EQ(mode_of(scratch / name), 0600u) << name;
  half.commit();
  EXPECT_EQ(mode_of(scratch / "private"), 0600u);
}

TEST(ReplacedFile, OfADirectoryKeepsItsModeToo) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "a");
  put(scratch / "a/file", "old");
  ASSERT_EQ(::chmod((scratch / "a/file").c_str(), 0600), 0);
  ASSERT_EQ(::chmod((scratch / "a").c_str(), 0700), 0);
  put(begin_directory(scratch / "a") + "/file", "new");
  put(scratch / "a.partial/another", "new");
  commit_directory(scratch / "a");
  EXPECT_EQ(get(scratch / "a/file"), "new");
  EXPECT_EQ(mode_of(scratch / "a/file"), 0600u);
  EXPECT_EQ(mode_of(scratch / "a"), 0700u);
  EXPECT_NE(mode_of(scratch / "a/another"), 0u);
}

TEST(ReplacedFile, ThatMayNotBeWrittenIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write every file";
  const Scratch scratch;
  put(scratch / "a", "old");
  ASSERT_EQ(::chmod((scratch / "a").c_str(), 0400), 0);
  EXPECT_EQ(error_words(ErrorKind::exhausted, [&] { write_file_atomically(scratch / "a", "new"); }),
            "cannot write \"" + (scratch / "a") + "\": Permission denied");
  EXPECT_EQ(get(scratch / "a"), "old");
}

TEST(ReplacedFile, MayHaveTheLongestName) {
  const Scratch scratch;
  for (const std::size_t length : {std::size_t{240}, std::size_t{252}, std::size_t{NAME_MAX}}) {
    const std::string name(length, 'n');
    write_file_atomically(scratch / name, "text");
    EXPECT_EQ(get(scratch / name), "text");
    EXPECT_EQ(scratch.names(), std::vector<std::string>{name});
    std::filesystem::remove(scratch / name);
  }
  const std::string longer(NAME_MAX + 1, 'n');
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { write_file_atomically(scratch / longer, "text"); }),
            "cannot write \"" + (scratch / longer) + "\": File name too long");
}

TEST(SystemCalls, ThatAreInterruptedAreMadeAgain) {
  int calls = 0;
  const auto interrupted = [&] {
    errno = EINTR;
    return ++calls < 4 ? -1 : 5;
  };
  EXPECT_EQ(uninterrupted(interrupted), 5);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(uninterrupted([&] {
              errno = EIO;
              return --calls, -1;
            }),
            -1);
  EXPECT_EQ(calls, 3);
}

// In this process write() returns 0 from now on and does nothing.
bool take_nothing_more() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offsetof(seccomp_data, nr))),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {static_cast<unsigned short>(std::size(program)), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(SystemCalls, WritesThatTakeNothingAreAnErrorAndNoEndlessLoop) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    if (!take_nothing_more()) ::_exit(77);
    try {
      write_all(1, as_bytes("text"), "a");
    } catch (const Error& error) {
      const bool right = error.kind() == ErrorKind::exhausted &&
                         std::string(error.what()) == "cannot write \"a\": the system takes no more bytes";
      ::_exit(right ? 0 : 2);
    }
    ::_exit(3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this system lets no process forbid itself anything";
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace longstride
