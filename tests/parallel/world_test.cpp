// These tests let threads play the processes of a world: every byte arrives where it should, whoever is late.
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

#include "longstride/error.h"
#include "parallel/processes.h"

namespace longstride {
namespace {

using Piece = World::Piece;

// What rank `from` sends to rank `to` in an exchange: as many bytes as the two say, some of them none.
std::string letter(int exchange, int from, int to) {
  return std::string(static_cast<std::size_t>((exchange * 7 + from * 3 + to * 5) % 11 * 100),
                     static_cast<char>('a' + (exchange + from * 5 + to) % 26));
}

void be_late(int rank, int exchange) {
  std::this_thread::sleep_for(std::chrono::microseconds((rank * 37 + exchange * 101) % 300));
}

// Who carries the bytes.
class EveryWorld : public testing::TestWithParam<bool> {
 protected:
  static void run(int size, const std::function<void(World&)>& body) {
    if (!GetParam()) return run_threads(size, body);
    EXPECT_EQ(run_over_tcp(size, body), std::vector<std::string>(static_cast<std::size_t>(size)));
  }
};
INSTANTIATE_TEST_SUITE_P(By, EveryWorld, testing::Bool(),
                         [](const auto& by) { return std::string(by.param ? "Tcp" : "Threads"); });

TEST_P(EveryWorld, ExchangesPiecesOfAnySizeWhileOthersAreOnTheirWay) {
  for (const int size : {1, 2, 3, 8}) {
    run(size, [&](World& world) {
      EXPECT_EQ(world.size(), size);
      constexpr int kExchanges = 40, kAtOnce = 3;
      std::vector<std::vector<std::string>> sent(kExchanges), got(kExchanges);
      std::vector<World::Ticket> tickets;
      const auto finish = [&](int k) {
        world.finish(tickets[static_cast<std::size_t>(k)]);
        for (int p = 0; p < size; ++p)
          EXPECT_EQ(got[static_cast<std::size_t>(k)][static_cast<std::size_t>(p)], letter(k, p, world.rank()));
        for (std::string& text : sent[static_cast<std::size_t>(k)]) text.assign(text.size(), '-');  // is free again
      };
      for (int k = 0; k < kExchanges; ++k) {
        std::vector<Piece> sends, receives;
        std::vector<std::string>&from = sent[static_cast<std::size_t>(k)], &to = got[static_cast<std::size_t>(k)];
        for (int p = 0; p < size; ++p) from.push_back(letter(k, world.rank(), p));
        for (int p = 0; p < size; ++p) to.emplace_back(letter(k, p, world.rank()).size(), '?');
        for (std::string& text : from) sends.push_back({text.data(), std::ssize(text)});
        for (std::string& text : to) receives.push_back({text.data(), std::ssize(text)});
        be_late(world.rank(), k);
        tickets.push_back(world.begin_exchange(sends, receives));
        if (k >= kAtOnce) finish(k - kAtOnce);
      }
      for (int k = kExchanges - kAtOnce; k < kExchanges; ++k) finish(k);
    });
  }
}

// What arrives says itself how long it is: who receives has room for the longest.
TEST_P(EveryWorld, BringsLessThanThereIsRoomFor) {
  constexpr std::size_t kRoom = 5000;
  for (const int size : {2, 4}) {
    run(size, [&](World& world) {
      std::vector<World::Ticket> tickets;
      std::vector<std::vector<std::string>> sent(20), got(20);
      for (int k = 0; k < 20; ++k) {
        std::vector<std::string>&from = sent[static_cast<std::size_t>(k)], &to = got[static_cast<std::size_t>(k)];
        std::vector<Piece> sends, receives;
        for (int p = 0; p < size; ++p) from.push_back("." + letter(k, world.rank(), p));
        to.assign(static_cast<std::size_t>(size), std::string(kRoom, '?'));
        for (std::string& text : from) sends.push_back({text.data(), std::ssize(text)});
        for (std::string& text : to) receives.push_back({text.data(), std::ssize(text)});
        be_late(world.rank(), k);
        tickets.push_back(world.begin_exchange(sends, receives));
      }
      for (int k = 0; k < 20; ++k) {
        world.finish(tickets[static_cast<std::size_t>(k)]);
        for (int p = 0; p < size; ++p) {
          const std::string want = "." + letter(k, p, world.rank());
          const std::string& text = got[static_cast<std::size_t>(k)][static_cast<std::size_t>(p)];
          EXPECT_EQ(text, want + std::string(kRoom - want.size(), '?'));
        }
      }
    });
  }
}

TEST_P(EveryWorld, GathersAndSendsFromOneToAll) {
  run(5, [](World& world) {
    const std::int64_t mine = 100 + world.rank();
    std::vector<std::int64_t> all(5);
    world.all_gather(&mine, sizeof mine, all.data());
    EXPECT_EQ(all, (std::vector<std::int64_t>{100, 101, 102, 103, 104}));
    all[static_cast<std::size_t>(world.rank())] = 7 * world.rank();
    world.all_gather(&all[static_cast<std::size_t>(world.rank())], sizeof mine, all.data());  // in place
    EXPECT_EQ(all, (std::vector<std::int64_t>{0, 7, 14, 21, 28}));
    for (int root = 0; root < 5; ++root) {
      std::string word = world.rank() == root ? "from " + std::to_string(root) : "      ";
      world.broadcast(word.data(), std::ssize(word), root);
      EXPECT_EQ(word, "from " + std::to_string(root));
    }
    const std::vector<std::string> texts = gather(world, std::string(static_cast<std::size_t>(world.rank()), 'x'));
    EXPECT_EQ(texts, (std::vector<std::string>{"", "x", "xx", "xxx", "xxxx"}));
    EXPECT_EQ(members_of(world).size(), 5);
  });
}

// More than the system keeps of what nobody has asked for yet: it goes when it is asked for.
TEST_P(EveryWorld, CarriesWhatIsLongerThanTheSystemKeeps) {
  constexpr std::size_t kBytes = 24 << 20;
  run(2, [](World& world) {
    const char mine = static_cast<char>('a' + world.rank()), other = static_cast<char>('b' - world.rank());
    std::string send(kBytes, mine), receive(kBytes, '?');
    const Piece none{}, to{send.data(), std::ssize(send)}, from{receive.data(), std::ssize(receive)};
    const bool first = world.rank() == 0;
    if (!first) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const World::Ticket long_one = world.begin_exchange(std::vector<Piece>{first ? none : to, first ? to : none},
                                                        std::vector<Piece>{first ? none : from, first ? from : none});
    std::vector<std::int64_t> numbers(2);
    const std::int64_t number = world.rank() + 1;
    world.finish(long_one);
    world.all_gather(&number, sizeof number, numbers.data());
    EXPECT_TRUE(receive == std::string(kBytes, other));
    EXPECT_EQ(numbers, (std::vector<std::int64_t>{1, 2}));
  });
}

TEST(World, OfOneMovesNothing) {
  World& world = world_of_one();
  EXPECT_EQ(world.rank(), 0);
  EXPECT_EQ(world.size(), 1);
  std::int64_t mine = 5, all = 0;
  world.all_gather(&mine, sizeof mine, &all);
  EXPECT_EQ(all, 5);
  world.broadcast(&mine, sizeof mine);
  EXPECT_EQ(mine, 5);
}

TEST(World, TellsTheOthersOfARankThatEnded) {
  std::vector<std::string> heard(4);
  const auto body = [&](World& world) {
    if (world.rank() == 2) throw std::runtime_error("the disk of rank 2 is full");
    try {
      for (;;) {
        std::int64_t number = world.rank();
        world.broadcast(&number, sizeof number);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unavailable);
      heard[static_cast<std::size_t>(world.rank())] = error.what();
      throw;
    }
  };
  try {
    run_threads(4, body);
    FAIL() << "a rank threw";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the disk of rank 2 is full");
  }
  EXPECT_EQ(heard, (std::vector<std::string>{"rank 2 has ended", "rank 2 has ended", "", "rank 2 has ended"}));
}

}  // namespace
}  // namespace longstride
