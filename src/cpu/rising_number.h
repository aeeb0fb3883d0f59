// A number that threads wait for and that only rises: who comes late with less than it is by now changes nothing, and
// nobody who waits for the most that it will be waits for ever.
#pragma once

#include <atomic>
#include <cstdint>

namespace longstride::cpu {

class RisingNumber {
 public:
  std::uint32_t now() const { return value_.load(std::memory_order_acquire); }

  // Wakes who waits. The exchange stands in the order of all that are sequentially consistent, as a plain store would
  // not: libstdc++ asks next whether anybody waits, and the processor may ask that before a plain store is seen.
  void raise_to(std::uint32_t number) {
    std::uint32_t before = value_.load(std::memory_order_relaxed);
    while (is_beyond(number, before)) {
      if (!value_.compare_exchange_weak(before, number)) continue;
      value_.notify_all();
      return;
    }
  }

  // Sleeps while it is `seen`.
  void wait(std::uint32_t seen) const { value_.wait(seen, std::memory_order_acquire); }

 private:
  // Numbers go round after 2^32; those that are compared are less than half of that apart.
  static bool is_beyond(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) > 0; }

  std::atomic<std::uint32_t> value_{0};
};

}  // namespace longstride::cpu
