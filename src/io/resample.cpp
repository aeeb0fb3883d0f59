// This resamples by soxr.
#include "io/resample.h"

#include <soxr.h>

#include <cmath>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

struct Resampler::State {
  soxr_t soxr = nullptr;
  double ratio = 1;
  ~State() { soxr_delete(soxr); }
};

namespace {

[[noreturn]] void fail(const char* words) {
  throw Error(ErrorKind::exhausted, fmt::format("sound cannot be resampled: {}", words));
}

}  // namespace

Resampler::Resampler(double from, double to) : state_(std::make_unique<State>()) {
  state_->ratio = to / from;
  const soxr_io_spec_t numbers = soxr_io_spec(SOXR_FLOAT64_I, SOXR_FLOAT64_I);
  // Without a roll-off: the default one is 0.01 dB down at the passband's end, an error of -60 dB.
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_VHQ, SOXR_ROLLOFF_NONE);
  const soxr_runtime_spec_t threads = soxr_runtime_spec(1);
  soxr_error_t error = nullptr;
  state_->soxr = soxr_create(from, to, 1, &error, &numbers, &quality, &threads);
  if (error != nullptr) fail(error);
}

Resampler::~Resampler() = default;

void Resampler::feed(std::span<const double> samples, std::vector<double>& out) {
  if (!samples.empty()) process(samples.data(), samples.size(), out);
}

void Resampler::finish(std::vector<double>& out) { process(nullptr, 0, out); }

// samples == nullptr: the end; soxr is then asked until it has no more.
void Resampler::process(const double* samples, std::size_t count, std::vector<double>& out) {
  const std::size_t room = static_cast<std::size_t>(std::ceil(static_cast<double>(count) * state_->ratio)) + 4096;
  for (;;) {
    const std::size_t before = out.size();
    out.resize(before + room);
    std::size_t used = 0, made = 0;
    const soxr_error_t error = soxr_process(state_->soxr, samples, count, &used, out.data() + before, room, &made);
    out.resize(before + made);
    if (error != nullptr) fail(error);
    if (samples != nullptr) {
      samples += used;
      count -= used;
    }
    if (made < room && (samples == nullptr || count == 0)) return;
  }
}

}  // namespace longstride
