// Runs a test's body once for every instruction set; one that the machine lacks is said aloud. What oneDNN uses stays
// that of the first (see cpu/product.h); our kernels and the number format of products change.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>

#include "cpu/isa.h"
#include "host_matrix.h"
#include "longstride/device.h"
#include "ops/backend.h"

namespace longstride::tests {

inline void for_every_isa(const std::function<void(const std::string& name)>& body) {
  using cpu::Isa;
  const Isa before = cpu::isa();
  const std::vector<Isa> usable = cpu::usable_isas();
  for (const Isa one : {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::scalar}) {
    if (std::find(usable.begin(), usable.end(), one) == usable.end()) {
      std::printf("SKIPPED: this machine cannot run %s\n", to_string(one));
      continue;
    }
    cpu::force_isa(one);
    body(to_string(one));
  }
  cpu::force_isa(before);
}

// What `body` returns with one thread, and that two and three give the same bits.
inline definitions::Values same_for_any_threads(const std::string& what,
                                                const std::function<definitions::Values()>& body) {
  set_threads(1);
  const definitions::Values one = body();
  for (const int threads : {2, 3}) {
    set_threads(threads);
    expect_same_bits(one, body(), what + " with " + std::to_string(threads) + " threads and with one");
  }
  set_threads(0);
  return one;
}

}  // namespace longstride::tests
