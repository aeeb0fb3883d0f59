// This maps pages for a card's twin and opens them while it works.
#include "cuda/host/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>

namespace longstride::cuda::host {

namespace {

struct Pages {
  std::mutex mutex;
  std::map<void*, std::size_t> taken;
  int at_work = 0;
  MemoryUse use{std::int64_t{8} << 30};

  void protect(int how) {
    for (const auto& [memory, bytes] : taken) ::mprotect(memory, bytes, how);
  }
};
Pages& pages() {
  static Pages all;
  return all;
}

}  // namespace

void* take_memory(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  {
    const std::lock_guard<std::mutex> lock(pages().mutex);
    if (bytes < 0 || bytes > pages().use.all_bytes - pages().use.taken_bytes) return nullptr;
  }
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::memset(memory, 0xff, size);
  const std::lock_guard<std::mutex> lock(pages().mutex);
  if (pages().at_work == 0) ::mprotect(memory, size, PROT_NONE);
  pages().taken[memory] = size;
  MemoryUse& use = pages().use;
  use.taken_bytes += bytes;
  use.most_taken_bytes = std::max(use.most_taken_bytes, use.taken_bytes);
  return memory;
}

void give_back(void* memory) noexcept {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  const auto found = pages().taken.find(memory);
  if (found == pages().taken.end()) return;
  ::munmap(memory, found->second);
  pages().use.taken_bytes -= static_cast<std::int64_t>(found->second);
  pages().taken.erase(found);
}

void set_memory(std::int64_t bytes) {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  pages().use.all_bytes = bytes;
}
MemoryUse memory_use() {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  return pages().use;
}
void count_most_taken() {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  pages().use.most_taken_bytes = pages().use.taken_bytes;
}

AtWork::AtWork() {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  if (pages().at_work++ == 0) pages().protect(PROT_READ | PROT_WRITE);
}
AtWork::~AtWork() {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  if (--pages().at_work == 0) pages().protect(PROT_NONE);
}

}  // namespace longstride::cuda::host
