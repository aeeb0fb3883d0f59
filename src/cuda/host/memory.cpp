// This maps pages for a card's twin and opens them while it works.
#include "cuda/host/memory.h"

#include <sys/mman.h>

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
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::memset(memory, 0xff, size);
  const std::lock_guard<std::mutex> lock(pages().mutex);
  if (pages().at_work == 0) ::mprotect(memory, size, PROT_NONE);
  pages().taken[memory] = size;
  return memory;
}

void give_back(void* memory) noexcept {
  const std::lock_guard<std::mutex> lock(pages().mutex);
  const auto found = pages().taken.find(memory);
  if (found == pages().taken.end()) return;
  ::munmap(memory, found->second);
  pages().taken.erase(found);
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
