// These tests let threads play processes on several machines: who does a thing first, and who notices what differs.
#include "parallel/agreement.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "longstride/error.h"

namespace longstride {
namespace {

// Folders by name, and who made what is in them: `make` stands for a decoding that is done unless it is there.
class Folders {
 public:
  void make(const std::string& folder, int rank) {
    {
      const std::scoped_lock lock(mutex_);
      if (made_.contains(folder)) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that two who begin at the same time both make it
    const std::scoped_lock lock(mutex_);
    made_[folder].push_back(rank);
  }
  std::map<std::string, std::vector<int>> made_;

 private:
  std::mutex mutex_;
};

TEST(Turns, MakeAThingOnceWhereAllSeeItAndOnceAMachineWhereEachHasItsOwn) {
  const std::vector<std::string> machines = {"a", "b", "a", "b", "c", "b"};
  for (const bool shared : {true, false}) {
    Folders folders;
    run_threads(6, [&](World& world) {
      const std::string& here = machines[static_cast<std::size_t>(world.rank())];
      in_turns(
          world, [&] { folders.make(shared ? "shared" : here, world.rank()); }, here);
    });
    const std::map<std::string, std::vector<int>> once = {{"shared", {0}}};
    const std::map<std::string, std::vector<int>> each = {{"a", {0}}, {"b", {1}}, {"c", {4}}};
    EXPECT_EQ(folders.made_, shared ? once : each);
  }
}

TEST(Turns, LetTheOthersDoTheirsAtTheSameTime) {
  std::mutex mutex;
  int inside = 0, most = 0;
  run_threads(4, [&](World& world) {
    in_turns(
        world,
        [&] {
          {
            const std::scoped_lock lock(mutex);
            most = std::max(most, ++inside);
          }
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
          const std::scoped_lock lock(mutex);
          --inside;
        },
        "one");
  });
  EXPECT_GT(most, 1);
}

TEST(Turns, EndForAllWhereTheFirstFails) {
  int worked = 0;
  const auto body = [&](World& world) {
    in_turns(
        world,
        [&] {
          if (world.rank() == 0) throw Error(ErrorKind::corrupt_data, "a picture is cut");
          ++worked;
        },
        "one");
  };
  try {
    run_threads(3, body);
    FAIL() << "the first threw";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "a picture is cut");
  }
  EXPECT_EQ(worked, 0);
}

TEST(Agreement, GivesTheFirstOnesTextToAll) {
  for (const std::string& text : {std::string(), std::string("a\0b", 3), std::string(100'000, 'x')}) {
    run_threads(3, [&](World& world) { EXPECT_EQ(shared_text(world, world.rank() == 0 ? text : "mine"), text); });
  }
}

// What process 0 hears where `check` throws in all, an error of this kind; "" where it throws in none.
std::string heard_by_the_first(int size, ErrorKind kind, const std::function<void(World&)>& check) {
  std::string words;
  run_threads(size, [&](World& world) {
    try {
      check(world);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind);
      if (world.rank() == 0) words = error.what();
    }
  });
  return words;
}

TEST(Agreement, NamesTheProcessThatHasSomethingElse) {
  const auto compare = [](int size, int odd) {
    return heard_by_the_first(size, ErrorKind::corrupt_data, [&](World& world) {
      require_same(world, "the book", world.rank() == odd ? "another" : "this");
    });
  };
  EXPECT_EQ(compare(4, 2), "the book of process 2 of 4 differs from that of process 0; all need the same files");
  EXPECT_EQ(compare(4, 0), "the book of process 1 of 4 differs from that of process 0; all need the same files");
  EXPECT_EQ(compare(4, 9), "");
  EXPECT_EQ(compare(1, 0), "");
}

TEST(Agreement, NamesTheProcessThatWasAskedForSomethingElse) {
  const auto compare = [](int size, int odd) {
    return heard_by_the_first(size, ErrorKind::invalid_argument, [&](World& world) {
      require_same_options(world, "read", {{"--pages", "7"}, {"--speed", world.rank() == odd ? "2.5" : "1"}});
    });
  };
  EXPECT_EQ(compare(4, 2), "read: process 2 was started otherwise than process 0: --speed is 2.5 and not 1");
  EXPECT_EQ(compare(4, 0), "read: process 1 was started otherwise than process 0: --speed is 1 and not 2.5");
  EXPECT_EQ(compare(4, 9), "");
  EXPECT_EQ(compare(1, 0), "");
}

TEST(Agreement, KnowsTheMachinesName) { EXPECT_FALSE(machine_name().empty()); }

}  // namespace
}  // namespace longstride
