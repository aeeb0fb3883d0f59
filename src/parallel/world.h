// The processes that train one model together, and how bytes of the host's memory go between them. Nothing here adds
// numbers: what is added is added by who receives it, in an order that does not depend on who carried it. Ours.
//
// All ranks call the same functions in the same order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longstride/processes.h"
#include "parallel/carrier.h"

namespace longstride {

// Callers outside the library know it by name alone (longstride/processes.h): it is declared there where names stay
// inside.
class World : public Carrier {
 public:
  // What waits in `finish`, and will, throws Error unavailable with this sentence. From any thread.
  virtual void break_off(const std::string&) noexcept {}
  // Throws what `finish` would throw where it is known that a rank has ended: for who waits for others elsewhere.
  virtual void require_all() {}
  // longstride/processes.h
  virtual void end_all(const std::string&, int) noexcept {}
  virtual std::vector<Member> members() const { return std::vector<Member>(static_cast<std::size_t>(size())); }

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
