// The twin of a card, for tests: what a card is asked for later is done at once, in memory that the host reaches no other
// way (cuda/host/memory.h).
#include "cuda/card.h"

#include <chrono>
#include <cstring>

#include "cuda/host/kind_of_card.h"
#include "cuda/host/memory.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

namespace cuda {

namespace {

constexpr std::int64_t kMemory = std::int64_t{8} << 30;

void move_bytes(void* to, const void* from, std::int64_t bytes) {
  const host::AtWork at_work;
  if (bytes > 0) std::memmove(to, from, static_cast<std::size_t>(bytes));
}

}  // namespace

namespace host {

AttentionKernels& attention_kernels() {
  static AttentionKernels kernels = AttentionKernels::portable;
  return kernels;
}

}  // namespace host

Card::Card() = default;
Card::~Card() = default;

void* Card::allocate(std::int64_t bytes) {
  if (bytes == 0) return nullptr;
  void* memory = bytes > kMemory ? nullptr : host::take_memory(bytes);
  if (memory == nullptr)
    throw Error(ErrorKind::exhausted, "cuda: needs " + std::to_string(bytes) + " more bytes of the card's memory");
  return memory;
}
void Card::release(void* memory) noexcept { host::give_back(memory); }

void Card::upload(void* to, const void* from_host, std::int64_t bytes) { move_bytes(to, from_host, bytes); }
void Card::download(void* to_host, const void* from, std::int64_t bytes) { move_bytes(to_host, from, bytes); }
void Card::copy(void* to, const void* from, std::int64_t bytes) { move_bytes(to, from, bytes); }
void Card::zero(void* memory, std::int64_t bytes) {
  const host::AtWork at_work;
  if (bytes > 0) std::memset(memory, 0, static_cast<std::size_t>(bytes));
}
void Card::wait() {}

AttentionKernels Card::attention_kernels() const { return host::attention_kernels(); }

CardFacts Card::facts() const { return {"a card that is interpreted", kMemory, kMemory}; }

double Card::time_s(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point before = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - before).count();
}

}  // namespace cuda

std::string why_no_cuda() { return ""; }

std::string card_words() { return cuda::Card().facts().name; }

}  // namespace longstride
