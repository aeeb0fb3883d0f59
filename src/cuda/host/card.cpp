// The twin of a card, for tests: its memory is the host's, begins as NaN, and is given back when it is released.
#include "cuda/card.h"

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

namespace cuda {

namespace {
constexpr std::int64_t kMemory = std::int64_t{8} << 30;
void move(void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0) std::memmove(to, from, static_cast<std::size_t>(bytes));
}
}  // namespace

Card::Card() = default;
Card::~Card() = default;

void* Card::allocate(std::int64_t bytes) {
  constexpr std::int64_t kAligned = 256;
  if (bytes == 0) return nullptr;
  const std::int64_t padded = bytes > kMemory ? 0 : (bytes + kAligned - 1) / kAligned * kAligned;
  void* memory = padded == 0 ? nullptr : std::aligned_alloc(kAligned, static_cast<std::size_t>(padded));
  if (memory == nullptr)
    throw Error(ErrorKind::exhausted, "cuda: needs " + std::to_string(bytes) + " more bytes of the card's memory");
  std::memset(memory, 0xff, static_cast<std::size_t>(padded));
  return memory;
}
void Card::release(void* memory) noexcept { std::free(memory); }

void Card::upload(void* to, const void* from_host, std::int64_t bytes) { move(to, from_host, bytes); }
void Card::download(void* to_host, const void* from, std::int64_t bytes) { move(to_host, from, bytes); }
void Card::copy(void* to, const void* from, std::int64_t bytes) { move(to, from, bytes); }
void Card::zero(void* memory, std::int64_t bytes) {
  if (bytes > 0) std::memset(memory, 0, static_cast<std::size_t>(bytes));
}
void Card::wait() {}

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
