// These tests hold fibers to what the interpreter of kernels relies on: orders differ by the seed and by it alone, who
// waits goes on when it may, and what cannot go on ends as an error.
#include "cuda/host/fibers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/host/meeting.h"

namespace longstride::cuda {
namespace {

// In which order five fibers come by, three times each.
std::vector<int> order(std::uint64_t seed) {
  std::vector<int> seen;
  Fibers fibers(seed);
  fibers.run(5, [&](int fiber) {
    for (int time = 0; time < 3; ++time) {
      seen.push_back(fiber);
      Fibers::yield();
    }
  });
  return seen;
}

TEST(Fibers, AllReachTheirEndInAnOrderOfTheSeed) {
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<int> seen = order(seed);
    EXPECT_EQ(seen, order(seed));
    for (int fiber = 0; fiber < 5; ++fiber) EXPECT_EQ(std::count(seen.begin(), seen.end(), fiber), 3);
    orders.insert(seen);
  }
  EXPECT_GT(orders.size(), 15u);
}

// How many steps of its own some warp's thread has made when a thread of another warp makes its first: chance alone
// lets nobody get far ahead, and in some runs a warp does.
TEST(Fibers, OfAWarpGetAheadOfOthersInSomeRuns) {
  constexpr int kCount = 64, kSteps = 40;
  int ahead = 0, together = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    std::vector<int> steps(kCount, 0);
    int most = 0;
    Fibers fibers(seed);
    fibers.run(kCount, [&](int fiber) {
      for (int step = 0; step < kSteps; ++step) {
        const int first = fiber / 32 == 0 ? 32 : 0;  // of the other warp
        const int slowest = *std::min_element(steps.begin() + first, steps.begin() + first + 32);
        most = std::max(most, steps[static_cast<std::size_t>(fiber)] - slowest);
        ++steps[static_cast<std::size_t>(fiber)];
        Fibers::yield();
      }
    });
    (most == kSteps - 1 ? ahead : together) += 1;
  }
  EXPECT_GT(ahead, 3);
  EXPECT_GT(together, 300);
}

TEST(Fibers, OfNobodyEndAtOnce) {
  Fibers fibers(1);
  fibers.run(0, [](int) { FAIL(); });
}

TEST(Fibers, RunAgainAndWithinOneAnother) {
  int sum = 0;
  Fibers outer(3);
  for (int time = 0; time < 2; ++time)
    outer.run(3, [&](int) {
      Fibers inner(4);
      inner.run(4, [&](int fiber) {
        Fibers::yield();
        sum += fiber;
      });
      Fibers::yield();
    });
  EXPECT_EQ(sum, 2 * 3 * 6);
}

TEST(Fibers, WaitUntilWhatTheyWaitFor) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    int turn = 0;
    std::vector<int> seen;
    Fibers(seed).run(50, [&](int fiber) {
      Fibers::wait_until([&] { return turn == fiber; });
      seen.push_back(fiber);
      ++turn;
    });
    for (int fiber = 0; fiber < 50; ++fiber) EXPECT_EQ(seen[static_cast<std::size_t>(fiber)], fiber);
  }
}

TEST(Fibers, ThatAllWaitAreADeadlock) {
  Fibers fibers(5);
  int ended = 0;
  const auto run = [&] {
    fibers.run(4, [&](int fiber) {
      if (fiber == 2) return;
      Fibers::wait_until([&] { return ended >= 4; });
      ++ended;
    });
  };
  try {
    run();
    FAIL() << "nobody noticed";
  } catch (const std::logic_error& error) {
    EXPECT_EQ(std::string(error.what()), "deadlock: 3 of 4 wait for one another");
  }
  EXPECT_EQ(ended, 0);
  ended = 4;
  run();  // the next run is a new one
  EXPECT_EQ(ended, 7);
}

struct Counted {
  int& count;
  explicit Counted(int& of) : count(of) { ++count; }
  ~Counted() { --count; }
};

TEST(Fibers, AreUnwoundWhereOneThrows) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    int alive = 0;
    Fibers fibers(seed);
    EXPECT_THROW(fibers.run(10,
                            [&](int fiber) {
                              const Counted counted(alive);
                              Fibers::yield();
                              if (fiber == 3) throw std::runtime_error("three");
                              Fibers::wait_until([] { return false; });
                            }),
                 std::runtime_error);
    EXPECT_EQ(alive, 0);
  }
}

TEST(Meetings, LetNobodyPassBeforeAllHaveCome) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Meeting meeting(7);
    std::array<int, 7> phase{};
    Fibers(seed).run(7, [&](int fiber) {
      for (int time = 0; time < 20; ++time) {
        ++phase[static_cast<std::size_t>(fiber)];
        meeting.meet();
        for (const int other : phase) ASSERT_TRUE(other == time + 1 || other == time + 2);
        if (Fibers::random() % 2 == 0) Fibers::yield();
      }
    });
  }
}

TEST(Meetings, OfAWarpDoWorkForAllItsLanes) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    WarpMeeting warp;
    Fibers(seed).run(kWarpLanes, [&](int lane) {
      for (int time = 0; time < 10; ++time) {
        int value = lane * time;
        warp.together(lane, value, [](const auto& lanes) {
          int sum = 0;
          for (const int* of : lanes) sum += *of;
          for (int* of : lanes) *of = sum;
        });
        ASSERT_EQ(value, time * 31 * 16);
      }
    });
  }
}

TEST(Meetings, OfAWarpWhoseLanesDoDifferentThingsAreAnError) {
  WarpMeeting warp;
  EXPECT_THROW(Fibers(1).run(kWarpLanes,
                             [&](int lane) {
                               int value = lane;
                               if (lane == 7)
                                 warp.together(lane, value, [](const auto&) {});
                               else
                                 warp.together(lane, value, [](const auto& lanes) { *lanes[0] = 1; });
                             }),
               std::logic_error);
}

}  // namespace
}  // namespace longstride::cuda
