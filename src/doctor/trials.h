// Operations on random operands, each with what its definition makes of them in double and how far rounding may lead
// away from that.
#pragma once

#include <cmath>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>

#include "ops/attention_memory.h"
#include "ops/definitions.h"
#include "ops/host_matrix.h"
#include "ops/philox.h"

namespace longstride::doctor {

using definitions::Values;

// Random shapes, the same for the same seed.
class Draw {
 public:
  explicit Draw(std::int64_t seed) : key_(philox_key(seed, Purpose::test)) {}
  std::int64_t from(std::int64_t least, std::int64_t most);  // both ends included
  std::int64_t size(std::int64_t most);                      // often at, below or above the width of vectors and tiles
  std::int64_t seed() { return from(1, 1 << 30); }

 private:
  PhiloxKey key_;
  std::uint32_t drawn_ = 0;
};

struct Trial {
  std::string shape = {};
  StepInputs inputs = {};
  Values wanted = {}, bound = {};                      // of every element that the operation makes
  std::function<Values(const RunAll& run)> made = {};  // the same by a device, as often as one likes

  // |made - values| <= absolute + relative * |values|.
  void want(const Values& values, double absolute, double relative);
  void want(const Values& values, const Values& bounds);
};

inline constexpr double kStep = 0x1p-24;  // what one float32 operation rounds by, relative

inline double real(std::int64_t count) { return static_cast<double>(count); }

inline HostMatrix nothing(DType type, std::int64_t rows, std::int64_t cols, std::int64_t gap = 0) {
  return HostMatrix::of_nothing(type, rows, cols, gap);
}

inline Values joined(std::initializer_list<Values> parts) {
  Values all;
  for (const Values& part : parts) append(all, part);
  return all;
}

inline Values plus(Values values, double more) {
  for (double& value : values) value += more;
  return values;
}

struct Kernel {
  const char* name;  // as name_of says, ops/ops.h
  Trial (*trial)(Draw& draw, DType type);
  bool of_activations = true;  // computes in float32 and in bfloat16
};
std::span<const Kernel> kernels();  // all of ops/ops.h

// One trial an operation; those of float32 alone look at no type.
Trial embed_trial(Draw& draw, DType type);
Trial embed_backward_trial(Draw& draw, DType type);
Trial residual_norm_trial(Draw& draw, DType type);
Trial residual_norm_backward_trial(Draw& draw, DType type);
Trial linear_trial(Draw& draw, DType type);
Trial linear_backward_data_trial(Draw& draw, DType type);
Trial linear_backward_weights_trial(Draw& draw, DType type);
Trial attention_trial(Draw& draw, DType type);  // forward and backward
Trial decode_attention_trial(Draw& draw, DType type);
Trial cache_rows_trial(Draw& draw, DType type);
Trial pack_rows_trial(Draw& draw, DType type);
Trial sum_rows_trial(Draw& draw, DType type);
Trial put_rows_trial(Draw& draw, DType type);

}  // namespace longstride::doctor
