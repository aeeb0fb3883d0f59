// This resamples by soxr.
#include "io/resample.h"

#include <soxr.h>

#include <vector>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

struct Resampler::State {
  soxr_t soxr = nullptr;
  std::vector<double> piece = std::vector<double>(1 << 16);  // made at a time
  ~State() { soxr_delete(soxr); }
};

namespace {

[[noreturn]] void fail(const char* words) {
  throw Error(ErrorKind::exhausted, fmt::format("sound cannot be resampled: {}", words));
}

}  // namespace

Resampler::Resampler(double from, double to) : state_(std::make_unique<State>()) {
  const soxr_io_spec_t numbers = soxr_io_spec(SOXR_FLOAT64_I, SOXR_FLOAT64_I);
  // Without a roll-off: the default one is 0.01 dB down at the passband's end, an error of -60 dB.
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, SOXR_ROLLOFF_NONE);
  const soxr_runtime_spec_t threads = soxr_runtime_spec(1);
  soxr_error_t error = nullptr;
  state_->soxr = soxr_create(from, to, 1, &error, &numbers, &quality, &threads);
  if (error != nullptr) fail(error);
}

Resampler::~Resampler() = default;

void Resampler::feed(std::span<const double> samples, const Out& out) {
  if (!samples.empty()) process(samples.data(), samples.size(), out);
}

void Resampler::finish(const Out& out) { process(nullptr, 0, out); }

// samples == nullptr: the end; soxr is then asked until it has no more.
void Resampler::process(const double* samples, std::size_t count, const Out& out) {
  for (;;) {
    std::size_t used = 0, made = 0;
    const soxr_error_t error =
        soxr_process(state_->soxr, samples, count, &used, state_->piece.data(), state_->piece.size(), &made);
    if (error != nullptr) fail(error);
    out(std::span(state_->piece).first(made));
    if (samples != nullptr) {
      samples += used;
      count -= used;
    }
    if (made < state_->piece.size() && (samples == nullptr || count == 0)) return;
  }
}

}  // namespace longstride
