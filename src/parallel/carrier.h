// How bytes go between processes that work together: who sends what to whom, and when it has arrived. Nothing here adds
// numbers. Of the host's memory a World is the carrier (parallel/world.h); of a device's there are others, which a
// backend or train/carriage.h makes. Ours.
//
// All ranks call the same functions in the same order.
#pragma once

#include <cstdint>
#include <span>

namespace longstride {

class Carrier {
 public:
  struct Piece {  // of a rank's memory
    void* data = nullptr;
    std::int64_t bytes = 0;
  };
  using Ticket = std::int64_t;
  static constexpr std::int64_t kMostOpenBytes = std::int64_t{1} << 30;

  virtual ~Carrier() = default;
  Carrier() = default;
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

  virtual int rank() const = 0;  // [0, size)
  virtual int size() const = 0;

  // Begins to send sends[q] to rank q and to fill receives[p] with what rank p sends here; both have size() pieces.
  // None of this memory may be written, nor what is received be read, before `finish`. A piece for this rank itself is
  // copied; where both name the same memory nothing is done. Of a device's memory all that its backend was asked for
  // before is done before, and what it is asked for after `finish` comes after.
  virtual Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) = 0;
  // Begins to bring everyone's piece to all: places[p] is where that of rank p lies here, this rank's own already
  // filled.
  Ticket begin_share(std::span<const Piece> places);
  // Waits for an exchange. Each is finished once, in the order in which they were begun. Error unavailable where the
  // carrier finds that a rank has ended.
  virtual void finish(Ticket exchange) = 0;

  // Whether a rank may send fewer bytes than there is room for, but some, and where there is room for kMostOpenBytes at
  // most: who receives them learns from them how many they are. Otherwise both sides name the same number.
  virtual bool takes_shorter() const { return true; }

  // Sends and receives, done when this returns.
  void exchange(std::span<const Piece> sends, std::span<const Piece> receives) {
    finish(begin_exchange(sends, receives));
  }
};

}  // namespace longstride
