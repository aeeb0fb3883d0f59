// This switches between stacks: by a few instructions on x86-64, by ucontext elsewhere. The address sanitizer is told
// of every switch.
#include "cuda/host/fibers.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define LONGSTRIDE_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LONGSTRIDE_ADDRESS_SANITIZER
#endif
#endif
#if defined(LONGSTRIDE_ADDRESS_SANITIZER)
extern "C" void __sanitizer_start_switch_fiber(void** own, const void* bottom, std::size_t size);
extern "C" void __sanitizer_finish_switch_fiber(void* own, const void** bottom, std::size_t* size);
#endif

#if defined(__x86_64__)
// Keeps on the stack what a function must leave as it was, notes in *from where that stack ends, and goes on with the
// stack that ends at `to`.
extern "C" void longstride_switch_stacks(void** from, void* to);
asm(R"(
.text
.local longstride_switch_stacks
.type longstride_switch_stacks, @function
longstride_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size longstride_switch_stacks, . - longstride_switch_stacks
)");
#endif

namespace longstride::cuda {

namespace {

constexpr std::size_t kStackBytes = 256 << 10;  // touched as far as it is used
constexpr std::uint64_t kSeldom = 32;           // waiting fibers are asked at one switch in so many, or if none can run
constexpr std::size_t kGroup = 32;              // fibers that have one rank: a warp's threads
constexpr std::uint64_t kRanked = 32;           // one run in so many has ranks
constexpr std::uint64_t kRankKept = 4096;       // switches, about: faulty kernels may wait in a loop for others

using Stack = std::unique_ptr<std::byte[]>;

// Stacks of earlier runs.
std::vector<Stack>& idle_stacks() {
  thread_local std::vector<Stack> stacks;
  return stacks;
}

Stack take_stack() {
  std::vector<Stack>& idle = idle_stacks();
  if (idle.empty()) return std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  Stack stack = std::move(idle.back());
  idle.pop_back();
  return stack;
}

struct Stopped {};  // unwinds a fiber whose run has ended

// Where a fiber, or who runs them, stands.
struct Context {
#if defined(__x86_64__)
  void* top = nullptr;  // of its stack
#else
  ucontext_t of;
#endif
  const void* bottom = nullptr;  // its stack, as the sanitizer knows it
  std::size_t size = 0;
  void* sanitizers = nullptr;
};

struct Fiber {
  Context context;
  Stack stack;  // none: it has not begun
  bool done = false;
  const std::function<bool()>* ready = nullptr;
};

}  // namespace

struct Fibers::State {
  std::uint64_t random = 0;
  bool ranked = false;
  const std::function<void(int)>* body = nullptr;
  std::vector<Fiber> fibers;
  std::vector<int> runnable, waiting;
  // Of each group of fibers, in a run that has ranks: of those that can go on the highest does, always. So a warp gets
  // as far ahead of the others as they let it, and another lags behind: what chance alone does not bring about.
  std::vector<std::uint64_t> ranks;
  int at = -1;
  bool stopping = false;
  std::exception_ptr thrown;
  Context caller;

  std::uint64_t next_random() {  // splitmix64
    random += 0x9e3779b97f4a7c15u;
    std::uint64_t z = random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  std::uint64_t rank(int fiber) const { return ranks[static_cast<std::size_t>(fiber) / kGroup]; }
  void give_ranks() {
    if (fibers.size() <= kGroup || (next_random() % kRanked != 0 && !ranked)) return;
    ranks.resize((fibers.size() + kGroup - 1) / kGroup);
    draw_ranks();
  }
  void draw_ranks() {
    for (std::uint64_t& one : ranks) one = next_random();
  }
  // Puts those of the highest rank first. Their number.
  std::size_t highest_first() {
    if (next_random() % kRankKept == 0) draw_ranks();
    std::uint64_t highest = 0;
    for (const int fiber : runnable) highest = std::max(highest, rank(fiber));
    ask_waiting(highest + 1);
    for (const int fiber : runnable) highest = std::max(highest, rank(fiber));
    const auto end =
        std::partition(runnable.begin(), runnable.end(), [&](int fiber) { return rank(fiber) == highest; });
    return static_cast<std::size_t>(end - runnable.begin());
  }

  // Those of at least this rank.
  void ask_waiting(std::uint64_t least = 0) {
    std::size_t left = 0;
    for (const int fiber : waiting) {
      if ((least == 0 || rank(fiber) >= least) && (*fibers[static_cast<std::size_t>(fiber)].ready)())
        runnable.push_back(fiber);
      else
        waiting[left++] = fiber;
    }
    waiting.resize(left);
  }

  // Who goes on; -1: the caller of run().
  int choose() {
    if (stopping) return -1;
    if (!waiting.empty() && (runnable.empty() || next_random() % kSeldom == 0)) ask_waiting();
    if (runnable.empty()) {
      if (!waiting.empty())
        stop(std::make_exception_ptr(std::logic_error("deadlock: " + std::to_string(waiting.size()) + " of " +
                                                      std::to_string(fibers.size()) + " wait for one another")));
      return -1;
    }
    const std::size_t chosen = next_random() % (ranks.empty() ? runnable.size() : highest_first());
    const int fiber = runnable[chosen];
    runnable[chosen] = runnable.back();
    runnable.pop_back();
    return fiber;
  }

  void stop(std::exception_ptr why) {
    if (thrown == nullptr) thrown = std::move(why);
    stopping = true;
  }

  Context& context(int fiber) { return fiber < 0 ? caller : fibers[static_cast<std::size_t>(fiber)].context; }
  void begin(int fiber);
  void leave_for(int fiber);
  static void enter();
  static thread_local State* current;
};

thread_local Fibers::State* Fibers::State::current = nullptr;

// Prepares a stack on which `enter` begins.
void Fibers::State::begin(int fiber) {
  Fiber& of = fibers[static_cast<std::size_t>(fiber)];
  of.stack = take_stack();
  of.context.bottom = of.stack.get();
  of.context.size = kStackBytes;
#if defined(__x86_64__)
  const auto end = reinterpret_cast<std::uintptr_t>(of.stack.get() + kStackBytes) / 16 * 16;
  auto** slots = reinterpret_cast<void**>(end - 64);  // six registers, where to return to, nothing above
  for (int slot = 0; slot < 8; ++slot) slots[slot] = nullptr;
  slots[6] = reinterpret_cast<void*>(&State::enter);
  of.context.top = slots;
#else
  getcontext(&of.context.of);
  of.context.of.uc_stack.ss_sp = of.stack.get();
  of.context.of.uc_stack.ss_size = kStackBytes;
  of.context.of.uc_link = nullptr;
  makecontext(&of.context.of, &State::enter, 0);
#endif
}

// Returns when whoever called is chosen again; never, where that is done.
void Fibers::State::leave_for(int fiber) {
  if (fiber == at) return;
  if (fiber >= 0 && fibers[static_cast<std::size_t>(fiber)].stack == nullptr) begin(fiber);
  Context &from = context(at), &to = context(fiber);
#if defined(LONGSTRIDE_ADDRESS_SANITIZER)
  const bool ends = at >= 0 && fibers[static_cast<std::size_t>(at)].done;
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.sanitizers, to.bottom, to.size);
#endif
  at = fiber;
#if defined(__x86_64__)
  longstride_switch_stacks(&from.top, to.top);
#else
  swapcontext(&from.of, &to.of);
#endif
#if defined(LONGSTRIDE_ADDRESS_SANITIZER)
  __sanitizer_finish_switch_fiber(from.sanitizers, nullptr, nullptr);
#endif
}

// The whole of a fiber.
void Fibers::State::enter() {
  State& state = *current;
#if defined(LONGSTRIDE_ADDRESS_SANITIZER)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (state.caller.bottom == nullptr) state.caller.bottom = bottom, state.caller.size = size;
#endif
  const int self = state.at;
  try {
    (*state.body)(self);
  } catch (const Stopped&) {
  } catch (...) {
    state.stop(std::current_exception());
  }
  state.fibers[static_cast<std::size_t>(self)].done = true;
  state.leave_for(state.choose());
  std::terminate();  // who is done is never chosen
}

Fibers::Fibers(std::uint64_t seed, bool ranked) : state_(std::make_unique<State>()) {
  state_->random = seed;
  state_->ranked = ranked;
}
Fibers::~Fibers() = default;

void Fibers::run(int count, const std::function<void(int)>& body) {
  State& state = *state_;
  assert(state.fibers.empty());
  state.body = &body;
  state.fibers.resize(static_cast<std::size_t>(count));
  for (int fiber = 0; fiber < count; ++fiber) state.runnable.push_back(fiber);
  state.give_ranks();
  State* const outer = std::exchange(State::current, &state);
  if (count > 0) state.leave_for(state.choose());
  for (int fiber = 0; fiber < count; ++fiber) {  // those that a stopped run left in the middle
    const Fiber& left = state.fibers[static_cast<std::size_t>(fiber)];
    if (left.stack != nullptr && !left.done) state.leave_for(fiber);
  }
  State::current = outer;
  for (Fiber& fiber : state.fibers)
    if (fiber.stack != nullptr) idle_stacks().push_back(std::move(fiber.stack));
  const std::exception_ptr thrown = state.thrown;
  State next;
  next.random = state.random;
  next.ranked = state.ranked;
  *state_ = std::move(next);
  if (thrown != nullptr) std::rethrow_exception(thrown);
}

void Fibers::yield() {
  State& state = *State::current;
  if (!state.stopping) {
    state.runnable.push_back(state.at);
    state.leave_for(state.choose());
  }
  if (state.stopping) throw Stopped();
}

void Fibers::wait_until(const std::function<bool()>& ready) {
  if (ready()) return;
  State& state = *State::current;
  if (!state.stopping) {
    state.fibers[static_cast<std::size_t>(state.at)].ready = &ready;
    state.waiting.push_back(state.at);
    state.leave_for(state.choose());
  }
  if (state.stopping) throw Stopped();
}

std::uint64_t Fibers::random() { return State::current->next_random(); }

}  // namespace longstride::cuda
