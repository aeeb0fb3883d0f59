// Which bytes of the training part each window of a run reads: a pure function of (length, context, seed, index).
//
// An epoch cuts the part [0, L) into pieces at p, p + n, p + 2n, ... with a phase p in [1, n] of its own, and takes the
// pieces in an order of its own. A piece is scored by one window of n tokens; the first and the last piece may be
// shorter than n, their windows are laid at [0, n) and [L - n, L) and score the piece alone. So every byte is scored
// exactly once an epoch, no window joins the end to the beginning, and L = n gives the one window [0, n) for ever.
//
// Pictures stay whole: n is one of them, L a multiple of n, and p is n in every epoch.
#pragma once

#include <cstdint>

namespace longstride {

struct Window {
  std::int64_t begin = 0;        // first token, counted from the beginning of the part, in [0, L - n]
  std::int64_t score_begin = 0;  // the loss counts window positions [score_begin, score_begin + score_count)
  std::int64_t score_count = 0;  // in [1, n]
};

class DataOrder {
 public:
  enum class Cut { anywhere, at_multiples };  // at_multiples: the phase is n, and n divides L
  // length: L, bytes of the training part; context: n; 1 <= n <= L, n <= 2^31. Error invalid_argument otherwise.
  DataOrder(std::int64_t length, std::int64_t context, std::int64_t seed, Cut cut = Cut::anywhere);

  // index: 0, 1, 2, ... counted over the whole run (with batch B, step s reads windows s * B .. s * B + B - 1). O(1).
  Window window(std::int64_t index) const;

  // Epochs done when windows [0, index) have been read: whole part and share of the next.
  double epoch(std::int64_t index) const;

  std::int64_t first_window(std::int64_t epoch) const;  // index of the first window of an epoch
  std::int64_t epoch_of(std::int64_t index) const;      // the epoch that a window belongs to

 private:
  std::int64_t phase(std::int64_t epoch) const;
  std::int64_t length_, context_;
  std::int64_t seed_;
  bool one_phase_;            // the phase is n in every epoch
  std::int64_t pieces_;       // of an epoch whose phase is at least last_; one more where it is smaller
  std::int64_t last_;         // length of the last piece when the phase is n, in [1, n]
  std::int64_t long_phases_;  // how many of the n phases give pieces_ + 1
};

}  // namespace longstride
