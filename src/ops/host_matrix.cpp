// This fills matrices of the host.
#include "ops/host_matrix.h"

#include "ops/philox.h"

namespace longstride {

float random_value(std::int64_t seed, std::int64_t i) {
  const PhiloxBlock block = philox({static_cast<std::uint32_t>(i), 0, 0, 0}, philox_key(seed, Purpose::test));
  return 2 * uniform_float(block[0]) - 1;
}

std::vector<float> random_floats(std::int64_t count, std::int64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random_value(seed, static_cast<std::int64_t>(i));
  return values;
}

void HostMatrix::fill(float x) {
  for (std::int64_t i = 0; i < rows_ * cols_; ++i) set(i / cols_, i % cols_, x);
}

void HostMatrix::fill_at_random(std::int64_t seed) {
  for (std::int64_t i = 0; i < rows_ * cols_; ++i) set(i / cols_, i % cols_, random_value(seed, i));
}

}  // namespace longstride
