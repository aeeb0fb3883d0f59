// These tests carry a backend's memory through the host's: every byte arrives as the world itself would have brought
// it.
#include "train/carriage.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longstride/error.h"
#include "ops/buffer.h"
#include "train/elsewhere.h"

namespace longstride {
namespace {

using Piece = Carrier::Piece;

// What rank `from` sends to rank `to`; nobody sends the same twice.
std::string letter(int exchange, int from, int to) {
  return std::string(static_cast<std::size_t>((exchange * 7 + from * 3 + to * 5) % 11 * 100),
                     static_cast<char>('a' + (exchange + from * 5 + to) % 26));
}

std::string text_of(Backend& backend, const Buffer& buffer) {
  std::string text(static_cast<std::size_t>(buffer.bytes()), ' ');
  backend.download(text.data(), buffer.data(), buffer.bytes());
  return text;
}
Buffer buffer_of(Backend& backend, const std::string& text) {
  Buffer buffer(backend, std::ssize(text));
  backend.upload(buffer.data(), text.data(), buffer.bytes());
  return buffer;
}

TEST(ThroughTheHost, EveryPieceArrivesWhileOthersAreOnTheirWay) {
  for (const int size : {2, 3, 4}) {
    run_threads(size, [&](World& world) {
      const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
      const std::unique_ptr<Carrier> carrier = carrier_through_host(*backend, world);
      EXPECT_EQ(carrier->size(), size);
      EXPECT_EQ(carrier->rank(), world.rank());
      constexpr int kExchanges = 20, kAtOnce = 3;
      struct Exchange {
        std::vector<Buffer> sent, got;
        Carrier::Ticket ticket = 0;
      };
      std::vector<Exchange> all(kExchanges);
      const auto finish = [&](int k) {
        Exchange& one = all[static_cast<std::size_t>(k)];
        carrier->finish(one.ticket);
        for (int p = 0; p < size; ++p)
          EXPECT_EQ(text_of(*backend, one.got[static_cast<std::size_t>(p)]), letter(k, p, world.rank()));
      };
      for (int k = 0; k < kExchanges; ++k) {
        Exchange& one = all[static_cast<std::size_t>(k)];
        std::vector<Piece> sends, receives;
        for (int p = 0; p < size; ++p) {
          const Buffer& sent = one.sent.emplace_back(buffer_of(*backend, letter(k, world.rank(), p)));
          const Buffer& got =
              one.got.emplace_back(buffer_of(*backend, std::string(letter(k, p, world.rank()).size(), '?')));
          sends.push_back({sent.data(), sent.bytes()}), receives.push_back({got.data(), got.bytes()});
        }
        one.ticket = carrier->begin_exchange(sends, receives);
        for (const Buffer& sent : one.sent)  // has been read by now
          if (sent) backend->zero(sent.data(), sent.bytes());
        if (k >= kAtOnce) finish(k - kAtOnce);
      }
      for (int k = kExchanges - kAtOnce; k < kExchanges; ++k) finish(k);
    });
  }
}

// As lists of rows are: the room is for the longest.
TEST(ThroughTheHost, WhatIsShorterThanItsRoomArrives) {
  run_threads(3, [](World& world) {
    const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
    const std::unique_ptr<Carrier> carrier = carrier_through_host(*backend, world);
    EXPECT_TRUE(carrier->takes_shorter());
    for (int k = 0; k < 5; ++k) {
      std::vector<Buffer> sent, got;
      std::vector<Piece> sends(3), receives(3);
      for (int p = 0; p < 3; ++p) {
        sent.push_back(buffer_of(*backend, "." + letter(k, world.rank(), p)));
        got.push_back(buffer_of(*backend, std::string(5000, '?')));
        if (p == world.rank()) continue;
        sends[static_cast<std::size_t>(p)] = {sent.back().data(), sent.back().bytes()};
        receives[static_cast<std::size_t>(p)] = {got.back().data(), got.back().bytes()};
      }
      carrier->exchange(sends, receives);
      for (int p = 0; p < 3; ++p) {
        const std::string want = "." + letter(k, p, world.rank());
        if (p != world.rank()) {
          EXPECT_EQ(text_of(*backend, got[static_cast<std::size_t>(p)]).substr(0, want.size()), want);
        }
      }
    }
  });
}

TEST(ThroughTheHost, OnePieceGoesToAll) {
  run_threads(4, [](World& world) {
    const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
    const std::unique_ptr<Carrier> carrier = carrier_through_host(*backend, world);
    const Buffer all = buffer_of(*backend, std::string(4 * 1000, '?'));
    std::vector<Piece> places;
    for (int p = 0; p < 4; ++p) places.push_back({static_cast<char*>(all.data()) + p * 1000, p == 2 ? 0 : 1000});
    const std::string mine(1000, static_cast<char>('a' + world.rank()));
    if (world.rank() != 2) backend->upload(places[static_cast<std::size_t>(world.rank())].data, mine.data(), 1000);
    carrier->finish(carrier->begin_share(places));
    EXPECT_EQ(text_of(*backend, all),
              std::string(1000, 'a') + std::string(1000, 'b') + std::string(1000, '?') + std::string(1000, 'd'));
  });
}

TEST(ACarriage, IsTheBackendsWhereAllHaveOne) {
  run_threads(2, [](World& world) {
    Elsewhere backend;
    const Carrier* made = nullptr;
    backend.make = [&](Backend& inner, World& of) {
      std::unique_ptr<Carrier> carrier = carrier_through_host(inner, of);
      made = carrier.get();
      return carrier;
    };
    Carriage carriage(backend, world);
    EXPECT_NE(made, nullptr);
    EXPECT_EQ(&carriage.carrier(), made);
    EXPECT_EQ(carriage.detour(), "");
  });
}

// Whether the others know it before they begin, or find it out when one of them fails to.
TEST(ACarriage, GoesThroughTheHostInAllWhereOneHasNone) {
  for (const bool fails : {false, true}) {
    run_threads(3, [&](World& world) {
      const std::string reason = world.rank() == 1 ? "that one cannot" : "";
      Elsewhere backend;
      if (!fails) backend.why_none = reason;
      if (fails && world.rank() == 1)
        backend.make = [&](Backend&, World&) -> std::unique_ptr<Carrier> {
          throw Error(ErrorKind::unavailable, reason);
        };
      Carriage carriage(backend, world);
      EXPECT_EQ(carriage.detour(),
                "what the processes exchange goes through the memory of the host, which takes longer: that one cannot");
      EXPECT_NE(&carriage.carrier(), &world);
      const Buffer all = buffer_of(backend, std::string(3, static_cast<char>('a' + world.rank())));
      std::vector<Piece> places;
      for (int p = 0; p < 3; ++p) places.push_back({static_cast<char*>(all.data()) + p, 1});
      carriage.carrier().finish(carriage.carrier().begin_share(places));
      EXPECT_EQ(text_of(backend, all), "abc");
      carriage.end();
    });
  }
}

TEST(ACarriage, OfTheHostsMemoryIsTheWorldItself) {
  run_threads(2, [](World& world) {
    const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
    Carriage carriage(*backend, world);
    EXPECT_EQ(&carriage.carrier(), &world);
    EXPECT_EQ(carriage.detour(), "");
  });
}

}  // namespace
}  // namespace longstride
