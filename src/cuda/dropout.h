// Dropout's factors as kernels ask for them: those of ops/philox.h, the same elements as on every device.
#pragma once

#include "cuda/text.h"
#include "ops/ops.h"
#include "ops/philox.h"

namespace longstride::cuda {

struct DropoutFactors {
  bool on = false;
  float rate = 0, scale = 1;
  std::uint32_t site = 0, layer = 0;
  PhiloxKey key = {};
  std::int64_t first_row = 0;
  const StepInputs* inputs = nullptr;
};

inline DropoutFactors factors_of(const Dropout& dropout, bool wanted, const StepInputs* inputs) {
  return {wanted && dropout.rate > 0,
          dropout.rate,
          1 / (1 - dropout.rate),
          static_cast<std::uint32_t>(dropout.site),
          static_cast<std::uint32_t>(dropout.layer),
          philox_key(dropout.seed, Purpose::dropout),
          dropout.first_row,
          inputs};
}

// The factors of one row's elements. One block of philox serves four neighbours: who asks for them in their order makes
// each block once.
class RowFactors {
 public:
  LONGSTRIDE_DEVICE RowFactors(const DropoutFactors& of, std::int64_t row, std::int64_t columns)
      : of_(of), first_((of.first_row + row) * columns), step_(of.on ? static_cast<std::uint32_t>(of.inputs->dropout_step) : 0) {}

  // 0 where column c is dropped.
  LONGSTRIDE_DEVICE float at(std::int64_t c) {
    if (!of_.on) return 1;
    const std::int64_t element = first_ + c, block = element / 4;
    if (block != block_) {
      words_ = philox({static_cast<std::uint32_t>(block), of_.site, of_.layer, step_}, of_.key);
      block_ = block;
    }
    const auto which = static_cast<std::uint32_t>(element % 4);
    const std::uint32_t word = which == 0 ? words_[0] : which == 1 ? words_[1] : which == 2 ? words_[2] : words_[3];
    return uniform_float(word) >= of_.rate ? of_.scale : 0;
  }

 private:
  const DropoutFactors& of_;
  std::int64_t first_, block_ = -1;
  std::uint32_t step_;
  PhiloxBlock words_ = {};
};

}  // namespace longstride::cuda
