// This computes where a window begins from a permutation of the pieces of its epoch.
#include "data/order.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"
#include "ops/philox.h"

namespace longstride {
namespace {

// 64 bits for (epoch, round, value); rounds of the permutation count from 0, the phase has a number of its own.
constexpr std::uint32_t kPhaseRound = 0xffffffff;

std::uint64_t random_bits(std::int64_t seed, std::int64_t epoch, std::uint32_t round, std::uint32_t value) {
  const auto low = static_cast<std::uint32_t>(epoch);
  const auto high = static_cast<std::uint32_t>(epoch >> 32);
  const PhiloxBlock block = philox({value, round, low, high}, philox_key(seed, Purpose::data_order));
  return block[0] | std::uint64_t{block[1]} << 32;
}

// Where `slot` goes in this epoch's permutation of [0, count): a Feistel network on the smallest even number of bits
// that holds count, applied again while it leads outside. The network permutes [0, 4^half), so that a walk that begins
// inside comes back inside; 4^half < 4 count, so that it takes fewer than 4 steps on average.
std::int64_t permute(std::int64_t seed, std::int64_t epoch, std::int64_t count, std::int64_t slot) {
  constexpr std::uint32_t kRounds = 6;
  if (count == 1) return 0;
  const int half = (std::bit_width(static_cast<std::uint64_t>(count - 1)) + 1) / 2;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  auto value = static_cast<std::uint64_t>(slot);
  do {
    std::uint64_t left = value >> half;
    std::uint64_t right = value & mask;
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const std::uint64_t mixed = random_bits(seed, epoch, round, static_cast<std::uint32_t>(right));
      left = std::exchange(right, (left ^ mixed) & mask);
    }
    value = left << half | right;
  } while (value >= static_cast<std::uint64_t>(count));
  return static_cast<std::int64_t>(value);
}

}  // namespace

// A phase p in [1, n] gives 1 + ceil((L - p) / n) pieces. With K = ceil(L / n) and s = L - (K - 1) n in [1, n]:
//   p >= s: (L - p) / n <= K - 1 and > K - 2, hence K pieces;   p < s: between K - 1 and K, hence K + 1.
// So s - 1 of the n phases are long. Epoch e is long where floor(e (s - 1) / n) takes a step from e to e + 1, and draws
// its phase evenly among those of its kind: each phase has its even share, and the windows before epoch e are
// e K + floor(e (s - 1) / n), in closed form. L = n is K = 1, s = n: there the phase is n for ever.
DataOrder::DataOrder(std::int64_t length, std::int64_t context, std::int64_t seed, Cut cut)
    : length_(length), context_(context), seed_(seed), one_phase_(cut == Cut::at_multiples || length == context) {
  constexpr std::int64_t kMostContext = std::int64_t{1} << 31;
  if (context < 1 || context > kMostContext) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("data order: the context must be in [1, 2^31], got {}", context));
  }
  if (length < context) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("data order: the part must hold a context of {} tokens, got {}", context, length));
  }
  if (cut == Cut::at_multiples && length % context != 0) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("data order: the part must hold whole contexts of {} tokens, got {}", context, length));
  }
  pieces_ = (length - 1) / context + 1;
  last_ = length - (pieces_ - 1) * context;
  long_phases_ = one_phase_ ? 0 : last_ - 1;
}

std::int64_t DataOrder::first_window(std::int64_t epoch) const {
  // floor(e f / n) with e = a n + b, f < n <= 2^31: no product leaves 64 bits.
  const std::int64_t whole = epoch / context_, rest = epoch % context_;
  return epoch * pieces_ + whole * long_phases_ + rest * long_phases_ / context_;
}

std::int64_t DataOrder::epoch_of(std::int64_t index) const {
  // Epochs have pieces_ or pieces_ + 1 windows; the mean length gives the epoch up to rounding.
  const double mean = static_cast<double>(pieces_) + static_cast<double>(long_phases_) / static_cast<double>(context_);
  std::int64_t epoch = static_cast<std::int64_t>(static_cast<double>(index) / mean);
  while (epoch > 0 && first_window(epoch) > index) --epoch;
  while (first_window(epoch + 1) <= index) ++epoch;
  return epoch;
}

std::int64_t DataOrder::phase(std::int64_t epoch) const {
  const bool is_long = first_window(epoch + 1) - first_window(epoch) > pieces_;
  const std::int64_t first = is_long ? 1 : one_phase_ ? context_ : last_;
  const std::int64_t choices = is_long ? long_phases_ : context_ - first + 1;
  // 63 random bits modulo at most 2^31: the first choices are favoured by less than 2^-32.
  const std::uint64_t bits = random_bits(seed_, epoch, kPhaseRound, 0) >> 1;
  return first + static_cast<std::int64_t>(bits % static_cast<std::uint64_t>(choices));
}

Window DataOrder::window(std::int64_t index) const {
  const std::int64_t e = epoch_of(index);
  const std::int64_t first = first_window(e);
  const std::int64_t piece = permute(seed_, e, first_window(e + 1) - first, index - first);
  const std::int64_t p = phase(e);
  const std::int64_t begin = piece == 0 ? 0 : p + (piece - 1) * context_;
  const std::int64_t end = piece == 0 ? p : std::min(begin + context_, length_);
  Window window;
  window.begin = std::min(begin, length_ - context_);
  window.score_begin = begin - window.begin;
  window.score_count = end - begin;
  return window;
}

double DataOrder::epoch(std::int64_t index) const {
  const std::int64_t e = epoch_of(index);
  const std::int64_t first = first_window(e);
  return static_cast<double>(e) + static_cast<double>(index - first) / static_cast<double>(first_window(e + 1) - first);
}

}  // namespace longstride
