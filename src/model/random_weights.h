// This makes weights that are random everywhere, also where training starts from zero: a check that passes with zeros in
// them says little.
#pragma once

#include <cstdint>
#include <vector>

#include "model/parameters.h"
#include "ops/philox.h"

namespace longstride {

// (store_elements): initial weights of `seed`, and to each parameter's a number in [-spread / 2, spread / 2) that `key`
// and its place decide. Gaps are 0.
inline std::vector<float> random_weights(const ParameterTable& table, std::int64_t seed, std::int64_t key,
                                         float spread) {
  std::vector<float> store(static_cast<std::size_t>(table.store_elements()));
  initialise(table, seed, store.data());
  const PhiloxKey words = philox_key(key, Purpose::test);
  for (const Parameter& p : table.entries())
    for (std::int64_t e = p.offset; e < p.offset + p.count; ++e)
      store[static_cast<std::size_t>(e)] +=
          spread * (uniform_float(philox({static_cast<std::uint32_t>(e), 0, 0, 0}, words)[0]) - 0.5f);
  return store;
}

}  // namespace longstride
