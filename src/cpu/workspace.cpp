// This hands out the scratch memory of a backend, and reserves as much as was once needed when nothing is in use.
#include "cpu/workspace.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <string>

#include "cpu/memory.h"
#include "longstride/error.h"

namespace longstride::cpu {

namespace {
constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
constexpr std::int64_t kWorthAsking = std::int64_t{64} << 20;  // to ask what is free takes some 50 us
}  // namespace

void* allocate_aligned(const char* who, std::int64_t bytes) {
  const std::int64_t alignment = bytes >= kHugePage ? kHugePage : kWorkspaceAlignment;
  const std::int64_t rounded = (std::max<std::int64_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  // The system promises more than it has, and ends the process when it is asked to keep its word.
  const std::int64_t free = bytes >= kWorthAsking ? available_memory() : rounded;
  void* memory = rounded > free
                     ? nullptr
                     : std::aligned_alloc(static_cast<std::size_t>(alignment), static_cast<std::size_t>(rounded));
  if (memory == nullptr) {
    throw Error(ErrorKind::exhausted,
                std::string(who) + ": needs " + std::to_string(bytes) + " bytes of memory, " +
                    (rounded > free ? std::to_string(free) + " are free" : "the system gives none"));
  }
  if (alignment == kHugePage) madvise(memory, static_cast<std::size_t>(rounded), MADV_HUGEPAGE);  // advice: may fail
  return memory;
}

void release_aligned(void* memory) noexcept { std::free(memory); }

Workspace::~Workspace() {
  assert(scopes_ == 0);
  release_aligned(block_);
}

void Workspace::reserve(std::int64_t bytes) {
  assert(scopes_ == 0);
  if (bytes <= reserved_) return;
  release_aligned(block_);
  block_ = nullptr;
  reserved_ = 0;
  block_ = static_cast<char*>(allocate_aligned("workspace", bytes));
  reserved_ = bytes;
}

void* Workspace::take(std::int64_t bytes) {
  assert(scopes_ > 0);
  const std::int64_t first = used_;
  used_ += rounded(bytes);
  most_ = std::max(most_, used_);
  if (used_ <= reserved_) return block_ + first;
  extra_.push_back(static_cast<char*>(allocate_aligned("workspace", bytes)));
  return extra_.back();
}

void Workspace::leave(std::int64_t used) noexcept {
  used_ = used;
  if (--scopes_ > 0 || extra_.empty()) return;
  for (char* block : extra_) release_aligned(block);
  extra_.clear();
  try {
    reserve(most_);
  } catch (const Error&) {  // the next operation that needs it says so
  }
}

}  // namespace longstride::cpu
