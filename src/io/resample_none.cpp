// io/resample.h where the build has no soxr.
#include <fmt/format.h>

#include "io/resample.h"
#include "longstride/error.h"

namespace longstride {

struct Resampler::State {};

Resampler::Resampler(double from, double to) {
  throw Error(ErrorKind::unavailable,
              fmt::format("sound of {} Hz cannot become {} Hz: this build has no soxr; build again where it is "
                          "installed, or --set data.sample_rate={}",
                          from, to, from));
}

Resampler::~Resampler() = default;
void Resampler::feed(std::span<const double>, const Out&) {}
void Resampler::finish(const Out&) {}

}  // namespace longstride
