// Memory of a card's twin. As that of a card it is out of the host's reach: a read or write ends the process, unless
// the twin is at work.
#pragma once

#include <cstdint>

namespace longstride::cuda::host {

// Aligned to a page; begins as NaN, whatever is read of it. nullptr where there is none left.
void* take_memory(std::int64_t bytes);
void give_back(void* memory) noexcept;

// Of all cards of this process together: what they have, 8 GiB at first, and how much of it is taken.
void set_memory(std::int64_t bytes);
struct MemoryUse {
  std::int64_t all_bytes = 0, taken_bytes = 0;
  std::int64_t most_taken_bytes = 0;  // at a time, since count_most_taken was called last
};
MemoryUse memory_use();
void count_most_taken();

// While one of these lives, in any thread, all of the memory can be reached.
class AtWork {
 public:
  AtWork();
  ~AtWork();
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
};

}  // namespace longstride::cuda::host
