// The processes that train one model together, and how bytes go between them. Nothing here adds numbers: what is added
// is added by who receives it, in an order that does not depend on who carried it. Ours.
//
// All ranks call the same functions in the same order. Memory is the host's.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "longstride/processes.h"

namespace longstride {

// Callers outside the library know it by name alone (longstride/processes.h): it is declared there where names stay
// inside.
class World {
 public:
  struct Piece {  // of a rank's memory
    void* data = nullptr;
    std::int64_t bytes = 0;
  };
  using Ticket = std::int64_t;
  static constexpr std::int64_t kMostOpenBytes = std::int64_t{1} << 30;

  virtual ~World() = default;
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  virtual int rank() const = 0;  // [0, size)
  virtual int size() const = 0;

  // Begins to send sends[q] to rank q and to fill receives[p] with what rank p sends here; both have size() pieces. A
  // rank may send fewer bytes than there is room for, but some, and where there is room for kMostOpenBytes at most: who
  // receives them learns from them how many they are. None of this memory may be written, nor what is received be read,
  // before `finish`. A piece for this rank itself is copied; where both name the same memory nothing is done.
  virtual Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) = 0;
  // Begins to bring everyone's piece to all: places[p] is where that of rank p lies here, this rank's own already
  // filled.
  Ticket begin_share(std::span<const Piece> places);
  // Waits for an exchange. Each is finished once, in the order in which they were begun. Error unavailable where the
  // carrier finds that a rank has ended.
  virtual void finish(Ticket exchange) = 0;
  // What waits in `finish`, and will, throws Error unavailable with this sentence. From any thread.
  virtual void break_off(const std::string&) noexcept {}
  // longstride/processes.h
  virtual void end_all(const std::string&, int) noexcept {}
  virtual std::vector<Member> members() const { return std::vector<Member>(static_cast<std::size_t>(size())); }

  // Sends and receives, done when this returns.
  void exchange(std::span<const Piece> sends, std::span<const Piece> receives) {
    finish(begin_exchange(sends, receives));
  }
  // all = everyone's `bytes`, by rank; `mine` may lie at its place in it.
  void all_gather(const void* mine, std::int64_t bytes, void* all);
  // data of the others = data of rank `root`.
  void broadcast(void* data, std::int64_t bytes, int root = 0);

 protected:
  // What an exchange has for the rank itself.
  static void copy_own(const Piece& send, const Piece& receive);
};

// Of one process: size 1, nothing moves.
World& world_of_one();

// Threads of this process as ranks: body is called once a rank, on a thread of its own, with its world; returns when
// all have returned. Where one throws, the others' exchanges end with an error, and what it threw is thrown here (of
// several, that of the lowest rank that did not merely hear of another's end). For tests.
void run_threads(int size, const std::function<void(World&)>& body);

}  // namespace longstride
