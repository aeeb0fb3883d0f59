// Memory of a card's twin. As that of a card it is out of the host's reach: a read or write ends the process, unless the
// twin is at work.
#pragma once

#include <cstdint>

namespace longstride::cuda::host {

// Aligned to a page; begins as NaN, whatever is read of it. nullptr where there is none left.
void* take_memory(std::int64_t bytes);
void give_back(void* memory) noexcept;

// While one of these lives, in any thread, all of the memory can be reached.
class AtWork {
 public:
  AtWork();
  ~AtWork();
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
};

}  // namespace longstride::cuda::host
