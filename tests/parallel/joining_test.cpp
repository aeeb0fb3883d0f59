// These tests let threads play processes that find one another, do not, die, and fall silent.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>

#include "longstride/error.h"
#include "parallel/meeting.h"
#include "parallel/processes.h"
#include "parallel/tcp.h"

namespace longstride {
namespace {

std::string here() { return this_process().host; }

std::vector<std::string> all(std::size_t size, const std::string& sentence) {
  return std::vector<std::string>(size, sentence);
}

// Exchanges without end.
void go_on(World& world) {
  for (std::int64_t number = 0;;) world.broadcast(&number, sizeof number);
}

TEST(Joining, ReadsNobodyWhoIsNotThere) {
  Joining joining;
  joining.patience_s = 0.3;
  const int port = free_port();
  const std::string place = "127.0.0.1:" + std::to_string(port);
  const auto missing = outcomes(3, [&](int rank) {
    if (rank != 1) join_world_by_tcp({rank, 3, "127.0.0.1", port}, joining);
  });
  const std::string sentence = "of 3 processes these did not come to " + place + " within 0 s: 1";
  EXPECT_EQ(missing, (std::vector<std::string>{sentence, "", sentence}));
  const auto without_first = outcomes(2, [&](int rank) {
    if (rank == 1) join_world_by_tcp({rank, 2, "127.0.0.1", port}, joining);
  });
  EXPECT_EQ(without_first[1], "process 0 of 2 is not at " + place + " (Connection refused); it was waited for for 0 s");
}

TEST(Joining, SaysWhereThePlaceIsNoneOfTheFirstProcess) {
  Joining joining;
  joining.patience_s = 0.1;
  const int port = free_port();
  const auto words = outcomes(1, [&](int) { join_world_by_tcp({0, 2, "192.0.2.1", port}, joining); });  // RFC 5737
  EXPECT_EQ(words[0], "of 2 processes these did not come to 192.0.2.1:" + std::to_string(port) +
                          " within 0 s: 1; process 0 is on " + here() + ", which does not have that address");
}

TEST(Joining, RefusesRanksThatWereGivenTwice) {
  const int port = free_port();
  for (const int twice : {0, 1}) {
    const auto words = outcomes(3, [&](int thread) {
      const int rank = thread == 2 ? twice : thread;
      join_world_by_tcp({rank, 3, "127.0.0.1", port});
    });
    const std::string process = std::to_string(::getpid()) + " on " + here();
    EXPECT_EQ(words, all(3, "rank " + std::to_string(twice) + " was given twice: to process " + process +
                                " and to process " + process));
  }
}

TEST(Joining, RefusesNumbersOfProcessesThatDiffer) {
  const int port = free_port();
  const auto words = outcomes(3, [&](int rank) { join_world_by_tcp({rank, rank == 2 ? 4 : 3, "127.0.0.1", port}); });
  EXPECT_EQ(words, all(3, "process 2 of 4 on " + here() + " comes to 127.0.0.1:" + std::to_string(port) +
                              ", where there are 3 processes; all need the same number"));
}

TEST(Joining, RefusesOtherBuilds) {
  const int port = free_port();
  const auto words = outcomes(2, [&](int rank) {
    Joining joining;
    joining.build = rank == 0 ? "longstride 1, avx512" : "longstride 1, avx2";
    join_world_by_tcp({rank, 2, "127.0.0.1", port}, joining);
  });
  EXPECT_EQ(words, all(2, "process 1 of 2 on " + here() + " is longstride 1, avx2, and process 0 on " + here() +
                              " is longstride 1, avx512; the bits of a run need the same in all processes"));
}

TEST(Joining, SaysThatAnotherProgramHasThePort) {
  const std::optional<Descriptor> taken = net::listen_at("127.0.0.1", 0);
  const int port = net::port_of(*taken);
  std::atomic<bool> over{false};
  std::jthread other([&] {  // greets, as mail servers do
    std::vector<Descriptor> open;
    while (!over) {
      if (std::optional<Descriptor> one = net::accept_from(*taken)) open.push_back(std::move(*one));
      for (const Descriptor& one : open) ::send(one.get(), "220 hello\r\n", 11, MSG_NOSIGNAL);
      ::usleep(10000);
    }
  });
  const auto words = outcomes(2, [&](int rank) { join_world_by_tcp({rank, 2, "127.0.0.1", port}); });
  over = true;
  EXPECT_EQ(words, all(2, "what answers at 127.0.0.1:" + std::to_string(port) +
                              " is no process 0 of longstride; another program may have the port"));
}

// A program that has the port and takes no connections there: nobody can be asked who it is.
TEST(Joining, SaysThatThePortIsTaken) {
  const Descriptor taken(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(taken.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const int port = net::port_of(taken);
  const auto words = outcomes(1, [&](int rank) { join_world_by_tcp({rank, 2, "127.0.0.1", port}); });
  EXPECT_EQ(words[0], "cannot take connections at 127.0.0.1:" + std::to_string(port) + ": Address already in use");
}

// A machine's name may lead to loopback on itself (/etc/hosts of Debian) and to another address from elsewhere.
TEST(Joining, IsFoundFromOutsideUnlessLoopbackIsSaid) {
  const std::string outside = net::own_addresses().front();
  if (net::is_loopback(outside)) GTEST_SKIP() << "this machine has no address but loopback";
  if (net::resolve(here()).empty()) GTEST_SKIP() << "this machine does not know its own name";
  Joining joining;
  joining.patience_s = 0.5;
  const auto words_where = [&](const std::string& name) {
    const int port = free_port();
    return outcomes(2, [&](int rank) { join_world_by_tcp({rank, 2, rank == 0 ? name : outside, port}, joining); });
  };
  EXPECT_EQ(words_where(here()), all(2, ""));
  for (const char* name : {"localhost", "127.0.0.1"})
    for (const std::string& words : words_where(name)) EXPECT_NE(words, "") << name;
}

TEST(Joining, StopsWaitingWhereItIsToldTo) {
  std::atomic<bool> stop{true};
  Joining joining;
  joining.stop = &stop;
  const int port = free_port();
  for (const int rank : {0, 1}) {
    try {
      join_world_by_tcp({rank, 2, "127.0.0.1", port}, joining);
      FAIL() << "nobody else was there";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::stopped);
    }
  }
  EXPECT_THROW(join_world_by_tcp({1, 2, "no such name", port}), Error);
}

// What each process was told at its end.
struct Told {
  std::mutex mutex;
  std::map<int, std::string> said;
  std::map<int, int> left;  // with which status
  Ends ends_of(int rank) {
    return {[this, rank](const std::string& sentence) {
              const std::scoped_lock lock(mutex);
              said[rank] = sentence;
            },
            [this, rank](int status) {
              const std::scoped_lock lock(mutex);
              left[rank] = status;
            }};
  }
};

TEST(Watch, EndsAllWithOneSentenceAndStatus) {
  for (const int who : {0, 2}) {
    Told told;
    const int port = free_port();
    const auto words = outcomes(4, [&](int rank) {
      Joining joining;
      joining.ends = told.ends_of(rank);
      const auto world = join_world_by_tcp({rank, 4, "127.0.0.1", port}, joining);
      if (rank == who) return end_all(*world, "the disk is full", 7);
      go_on(*world);
    });
    const std::string sentence = "process " + std::to_string(who) + " of 4 on " + here() + ": the disk is full";
    for (int rank = 0; rank < 4; ++rank) {
      EXPECT_EQ(words[static_cast<std::size_t>(rank)], rank == who ? "" : sentence);
      EXPECT_EQ(told.left[rank], 7);
    }
    EXPECT_EQ(told.said, (std::map<int, std::string>{{who, sentence}}));  // one of a machine speaks
  }
}

// Rank `lost` of 3 meets the others, and then says no more; or its connections close.
std::vector<std::string> lose(int lost, bool closes, Told& told) {
  const int port = free_port();
  std::atomic<int> over{0};
  return outcomes(3, [&](int rank) {
    Joining joining;
    joining.ends = told.ends_of(rank);
    joining.silence_s = 1;
    if (rank != lost) {
      const auto world = join_world_by_tcp({rank, 3, "127.0.0.1", port}, joining);
      try {
        go_on(*world);
      } catch (...) {
        ++over;
        throw;
      }
    }
    Meeting meeting;
    meeting.rank = rank;
    meeting.size = 3;
    meeting.addresses = {"127.0.0.1"};
    meeting.port = port;
    meeting.silence_s = joining.silence_s;
    const std::optional<Descriptor> data = net::listen_at("127.0.0.1", 0);
    meeting.data_port = net::port_of(*data);
    const Met met = rank == 0 ? meet_as_first(meeting, *net::listen_at("127.0.0.1", port)) : meet_at_first(meeting);
    const auto world = connect_world(rank, met, *data, 10);
    while (!closes && over < 2) ::usleep(10000);
  });
}

TEST(Watch, NamesWhoDied) {
  for (const int lost : {0, 1, 2}) {
    Told told;
    const std::string sentence =
        "process " + std::to_string(lost) + " of 3 on " + here() + " has died: its connection is closed";
    auto words = all(3, sentence);
    words[static_cast<std::size_t>(lost)] = "";
    EXPECT_EQ(lose(lost, true, told), words);
    EXPECT_EQ(told.said, (std::map<int, std::string>{{lost == 0 ? 1 : 0, sentence}}));
    EXPECT_EQ(told.left.size(), 2);
  }
}

TEST(Watch, NamesWhoFellSilent) {
  for (const int lost : {0, 2}) {
    Told told;
    const std::string sentence = "process " + std::to_string(lost) + " of 3 on " + here() +
                                 " has been silent for 1 s: it is halted, or the network to it is cut";
    auto words = all(3, sentence);
    words[static_cast<std::size_t>(lost)] = "";
    EXPECT_EQ(lose(lost, false, told), words);
    EXPECT_EQ(told.said, (std::map<int, std::string>{{lost == 0 ? 1 : 0, sentence}}));
  }
}

// Launchers do not bring variables to every machine: all go by what the first one was told.
TEST(Watch, GoesByTheSilenceThatTheFirstOneKnows) {
  for (const int patient : {0, 1}) {
    const int port = free_port();
    const auto words = outcomes(2, [&](int rank) {
      Joining joining;
      joining.silence_s = rank == patient ? 30 : 0.6;
      const auto world = join_world_by_tcp({rank, 2, "127.0.0.1", port}, joining);
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      std::int64_t number = rank;
      world->broadcast(&number, sizeof number, 1);
    });
    EXPECT_EQ(words, all(2, "")) << patient;
  }
}

// Who has nothing to exchange for long is not lost, and who leaves early waits for the others.
TEST(Watch, TakesLongStepsForNoDeath) {
  Joining joining;
  joining.silence_s = 1;
  const auto words = run_over_tcp(
      3,
      [](World& world) {
        if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2500));
        std::int64_t number = world.rank();
        world.broadcast(&number, sizeof number, 1);
        EXPECT_EQ(number, 1);
        if (world.rank() == 2) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      },
      joining);
  EXPECT_EQ(words, all(3, ""));
}

}  // namespace
}  // namespace longstride
