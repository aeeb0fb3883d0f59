// How long threads wait in a loop before they sleep.
#include "cpu/waiting.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "cpu/threads.h"
#include "io/system.h"
#include "longstride/device.h"
#include "longstride/error.h"

namespace longstride::tests {

using namespace cpu;
namespace {

using namespace std::chrono_literals;

// R: it runs, or would; S: it sleeps.
char state_of(int thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  const std::string line{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = line.rfind(')');
  return name_end == std::string::npos ? '?' : line[name_end + 2];
}

TEST(Waiting, DelayIsTheSecondNumber) {
  EXPECT_EQ(delay_in("5400182 64189 12\n"), 64189);
  EXPECT_EQ(delay_in("5400182"), -1);
  EXPECT_EQ(delay_in(""), -1);
}

// So many looks at which so many threads lacked a core.
void look(CoreSharing& sharing, int times, double lacked, int threads) {
  for (int i = 0; i < times; ++i) sharing.look(lacked, threads);
}

// Where a stream would throw: the kernel answers that there is no such process.
TEST(Waiting, OfAThreadThatEndsWhileItIsReadNothingIsKnown) {
  std::atomic<int> number{0};
  std::atomic<bool> over{false};
  std::thread thread([&] {
    number = ::gettid();
    while (!over) std::this_thread::sleep_for(1ms);
  });
  while (number == 0) std::this_thread::sleep_for(1ms);
  const std::string path = "/proc/self/task/" + std::to_string(number) + "/stat";
  const Descriptor before(open_path(path, O_RDONLY)), later(open_path(path, O_RDONLY));
  EXPECT_TRUE(kernel_text(before).starts_with(std::to_string(number) + " ("));
  over = true;
  thread.join();
  while (::access(path.c_str(), F_OK) == 0) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(kernel_text(later), "");
  EXPECT_EQ(kernel_text(path), "");
}

TEST(Threads, ThatTheSystemDoesNotStartAreRefused) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs more addresses than any limit leaves";
#endif
  EXPECT_TRUE(can_start(3));
  EXPECT_TRUE(can_start(0));
  const int before = threads();
  rlimit unlimited = {};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &unlimited), 0);
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlimit limited = {static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE) + (64 << 20)), unlimited.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limited), 0);
  const bool started = can_start(2000);  // stacks of 8 MB, if nobody set another size
  std::string words;
  try {
    set_threads(3000);
  } catch (const Error& error) {
    words = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &unlimited), 0);
  EXPECT_FALSE(started);
  EXPECT_NE(words.find("does not let this process have 3000 threads"), std::string::npos) << words;
  EXPECT_EQ(threads(), before);
  EXPECT_THROW(set_threads(kMostThreads + 1), Error);
}

TEST(CoreSharing, AMomentChangesNothing) {
  CoreSharing sharing;
  for (int i = 0; i < 50; ++i) {
    look(sharing, 2, 1.5, 8);
    look(sharing, 1, 0, 8);
  }
  EXPECT_FALSE(sharing.short_waits());
  EXPECT_EQ(sharing.spared(), 0);
}

TEST(CoreSharing, SparesAsManyThreadsAsLackedACore) {
  CoreSharing one, some, all;
  look(one, 3, 0.4, 8);
  EXPECT_TRUE(one.short_waits());
  EXPECT_EQ(one.spared(), 1);
  look(some, 3, 3.2, 8);
  EXPECT_EQ(some.spared(), 3);
  look(some, 3, 1.8, 8);  // of the five that are left
  EXPECT_EQ(some.spared(), 5);
  look(all, 3, 20, 8);
  EXPECT_EQ(all.spared(), 7);
}

TEST(CoreSharing, ALittleMakesWaitsShortAndSparesNone) {
  CoreSharing sharing;
  look(sharing, 3, 0.2, 8);
  EXPECT_TRUE(sharing.short_waits());
  EXPECT_EQ(sharing.spared(), 0);
  look(sharing, 9, 0, 8);
  EXPECT_TRUE(sharing.short_waits());
  look(sharing, 1, 0, 8);
  EXPECT_FALSE(sharing.short_waits());
}

TEST(CoreSharing, TriesAllThreadsAgainAndLaterEachTimeThatItWasTooSoon) {
  CoreSharing sharing;
  look(sharing, 3, 1, 2);
  for (int patience = 10; patience <= 80; patience *= 2) {
    look(sharing, patience - 1, 0, 2);
    EXPECT_EQ(sharing.spared(), 1) << patience;
    look(sharing, 1, 0, 2);
    EXPECT_EQ(sharing.spared(), 0) << patience;
    EXPECT_TRUE(sharing.short_waits());
    look(sharing, 3, 0.7, 2);
    EXPECT_EQ(sharing.spared(), 1) << patience;
  }
  look(sharing, 160 + 10, 0, 2);
  EXPECT_EQ(sharing.spared(), 0);
  EXPECT_FALSE(sharing.short_waits());
  look(sharing, 3, 1, 2);  // of a new time of others, which may be a short one
  look(sharing, 10, 0, 2);
  EXPECT_EQ(sharing.spared(), 0);
}

TEST(CoreSharing, OneThreadIsNeverSpared) {
  CoreSharing sharing;
  look(sharing, 30, 1, 1);
  EXPECT_EQ(sharing.spared(), 0);
}

TEST(Waiting, ShortWaitsEndInSleep) {
  const ShortWaits waits;
  bool slept = false;
  for (int attempt = 0; attempt < 200 && !slept;
       ++attempt) {  // on a busy machine a thread may not come to sleep so soon
    std::atomic<int> other{0};
#pragma omp parallel num_threads(2)
    if (omp_get_thread_num() == 1) other = ::gettid();
    std::this_thread::sleep_for(1ms);  // 300,000 spins take longer
    slept = state_of(other) == 'S';
  }
  EXPECT_TRUE(slept);
}

TEST(Waiting, IsShortWhileOthersWantTheCores) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr)
    GTEST_SKIP() << "the environment says how to wait";
  if (!std::ifstream("/proc/self/schedstat")) GTEST_SKIP() << "this kernel does not say";
  share_cores();
  std::atomic<bool> over{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 3 * omp_get_num_procs(); ++i)
    others.emplace_back([&] {
      while (!over) continue;
    });
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!waits_are_short() && std::chrono::steady_clock::now() < end) continue;
  EXPECT_TRUE(waits_are_short());
  while (team() == threads() && threads() > 1 && std::chrono::steady_clock::now() < end) continue;
  EXPECT_EQ(team() == threads(), threads() == 1);
  over = true;
  for (std::thread& other : others) other.join();
}

}  // namespace
}  // namespace longstride::tests
