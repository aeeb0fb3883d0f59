// Sound at another rate, block by block: soxr's very high quality, a linear-phase filter of 28 bits that passes 91% of
// the lower rate's band unchanged. N samples become N x to / from of them, rounded; the filter's delay is taken out.
#pragma once

#include <functional>
#include <memory>
#include <span>

namespace longstride {

class Resampler {
 public:
  // Far beyond this soxr computes for ever.
  static constexpr double kMostRatio = 1 << 14;

  // Samples a second, both at least 1, neither more than kMostRatio times the other. Error unavailable where this build
  // has no soxr.
  Resampler(double from, double to);
  ~Resampler();

  // Both hand on what is ready after these samples, and what is left after the last, in pieces: a sample can become
  // millions.
  using Out = std::function<void(std::span<const double> made)>;
  void feed(std::span<const double> samples, const Out& out);
  void finish(const Out& out);

 private:
  void process(const double* samples, std::size_t count, const Out& out);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longstride
