// The twin of a card, for tests: what a card is asked for later is done at once, in memory that the host reaches no
// other way (cuda/host/memory.h).
#include "cuda/card.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "cuda/host/kind_of_card.h"
#include "cuda/host/memory.h"
#include "cuda/host/recorded.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

namespace cuda {

namespace {

std::atomic<std::int64_t> replayed = 0;

struct Noted : Recorded {
  host::Work work;
};

// As a card cannot record what the host waits for or brings, so does its twin.
void require_not_recorded(const Stream& stream, const char* what) {
  if (stream.handle != nullptr)
    throw Error(ErrorKind::unavailable, std::string("cuda: ") + what + " cannot be recorded");
}

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

std::vector<std::string>& names_of_cards() {
  static std::vector<std::string> names = {"a card that is interpreted", "another one"};
  return names;
}

}  // namespace host

Card::Card(int which) : which_(which) {}
Card::~Card() = default;
void Card::use() const {}

void* Card::allocate(std::int64_t bytes) {
  if (bytes == 0) return nullptr;
  void* memory = host::take_memory(bytes);
  if (memory == nullptr)
    throw Error(ErrorKind::exhausted, "cuda: needs " + std::to_string(bytes) + " more bytes of the card's memory");
  return memory;
}
void Card::release(void* memory) noexcept { host::give_back(memory); }

void Card::upload(void* to, const void* from_host, std::int64_t bytes) {
  require_not_recorded(stream_, "an upload");
  move_bytes(to, from_host, bytes);
}
void Card::download(void* to_host, const void* from, std::int64_t bytes) {
  require_not_recorded(stream_, "a download");
  move_bytes(to_host, from, bytes);
}
void Card::copy(void* to, const void* from, std::int64_t bytes) {
  host::put(stream_, [=] { move_bytes(to, from, bytes); });
}
void Card::zero(void* memory, std::int64_t bytes) {
  host::put(stream_, [=] {
    const host::AtWork at_work;
    if (bytes > 0) std::memset(memory, 0, static_cast<std::size_t>(bytes));
  });
}
void Card::wait() { require_not_recorded(stream_, "a wait"); }

AttentionKernels Card::attention_kernels() const { return host::attention_kernels(); }

std::unique_ptr<Recorded> Card::record(const std::function<void()>& work) {
  auto noted = std::make_unique<Noted>();
  struct Recording {
    Stream& stream;
    ~Recording() { stream.handle = nullptr; }
  } recording{stream_};
  stream_.handle = &noted->work;
  work();
  return noted;
}
void Card::replay(const Recorded& recorded) {
  ++replayed;
  for (const auto& piece : static_cast<const Noted&>(recorded).work) piece();
}

void host::put(Stream& stream, std::function<void()> work) {
  if (stream.handle == nullptr) return work();
  static_cast<host::Work*>(stream.handle)->push_back(std::move(work));
}
std::int64_t host::replays() { return replayed; }

CardFacts Card::facts() const {
  const host::MemoryUse use = host::memory_use();
  return {cards()[static_cast<std::size_t>(which_)].name, use.all_bytes, use.all_bytes - use.taken_bytes};
}

double Card::time_s(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point before = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - before).count();
}

}  // namespace cuda

std::string why_no_cuda(int) { return ""; }

std::vector<CardInfo> cards() {
  const std::int64_t bytes = cuda::host::memory_use().all_bytes;
  std::vector<CardInfo> all;
  for (const std::string& name : cuda::host::names_of_cards())
    all.push_back({name, "9.0", bytes, "", "twin-" + std::to_string(all.size())});
  return all;
}

std::string card_words() { return cards()[0].name; }

}  // namespace longstride
