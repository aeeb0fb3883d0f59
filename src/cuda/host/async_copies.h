// The interpreter's copies to shared memory. What is copied over is NaN from the moment a copy is asked for; a copy
// lands then, or when its thread waits, in an order of the seed. So reading too early, or writing what others still
// read, shows.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "cuda/host/fibers.h"

namespace longstride::cuda {

class AsyncCopies {
 public:
  void copy16(void* shared, const void* global, bool there) {
    std::memset(shared, 0xff, 16);
    Copy copy{shared, {}};
    if (there) std::memcpy(copy.bytes.data(), global, 16);
    if (Fibers::random() % 2 == 0)
      land(copy);
    else
      pending_.push_back(copy);
  }
  void wait() {
    while (!pending_.empty()) {
      std::swap(pending_[Fibers::random() % pending_.size()], pending_.back());
      land(pending_.back());
      pending_.pop_back();
    }
  }

 private:
  struct Copy {
    void* to;
    std::array<std::byte, 16> bytes;
  };
  static void land(const Copy& copy) { std::memcpy(copy.to, copy.bytes.data(), copy.bytes.size()); }
  std::vector<Copy> pending_;
};

}  // namespace longstride::cuda
