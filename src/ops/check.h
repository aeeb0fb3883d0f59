// What checks of operations have in common: one sentence for each way in which an operand does not fit.
#pragma once

#include <string>

#include <fmt/format.h>

#include "longstride/error.h"
#include "ops/ops.h"

namespace longstride {

inline std::string shape_of(std::int64_t rows, std::int64_t cols) { return fmt::format("({}, {})", rows, cols); }
inline const char* name_of(DType type) { return type == DType::float32 ? "float32" : "bfloat16"; }

// Checks of one operation; each failure is a sentence that begins with its name.
class Check {
 public:
  explicit Check(const char* operation) : operation_(operation) {}

  [[noreturn]] void fail(const std::string& sentence) const {
    throw_invalid(std::string(operation_) + ": " + sentence);
  }
  void is(const char* name, const Matrix& m, DType type, std::int64_t rows, std::int64_t cols) const {
    if (!m) fail(std::string(name) + " is missing");
    if (m.type != type) fail(std::string(name) + " must be " + name_of(type) + ", got " + name_of(m.type));
    if (m.rows != rows || m.cols != cols)
      fail(std::string(name) + " must be " + shape_of(rows, cols) + ", got " + shape_of(m.rows, m.cols));
    if (m.stride < m.cols) fail(fmt::format("{} needs a stride of at least {}, got {}", name, m.cols, m.stride));
  }
  void optional(const char* name, const Matrix& m, DType type, std::int64_t rows, std::int64_t cols) const {
    if (m) is(name, m, type, rows, cols);
  }
  // Heads of (B, T, H, D), one row of which does not reach into another head's or position's.
  void is(const char* name, const Heads& x, DType type, std::int64_t B, std::int64_t T, std::int64_t H,
          std::int64_t D) const {
    if (!x) fail(std::string(name) + " is missing");
    if (x.type != type) fail(std::string(name) + " must be " + name_of(type) + ", got " + name_of(x.type));
    if (x.B != B || x.T != T || x.H != H || x.D != D)
      fail(fmt::format("{} must be ({}, {}, {}, {}), got ({}, {}, {}, {})", name, B, T, H, D, x.B, x.T, x.H, x.D));
    if (const std::string overlap = overlap_of(name, x); !overlap.empty()) fail(overlap);
  }
  template <class T>
  void is(const char* name, const Array<T>& x, std::int64_t count) const {
    if (!x) fail(std::string(name) + " is missing");
    if (x.count != count) fail(fmt::format("{} must have {} elements, got {}", name, count, x.count));
  }
  template <class T>
  void optional(const char* name, const Array<T>& x, std::int64_t count) const {
    if (x) is(name, x, count);
  }
  template <class T>
  void given(const char* name, const Array<T>& x) const {
    if (!x) fail(std::string(name) + " is missing");
  }
  // m gives its shape to the others: any, but not empty.
  void has_shape(const char* name, const Matrix& m) const {
    if (!m) fail(std::string(name) + " is missing");
    if (m.rows < 1 || m.cols < 1) fail(std::string(name) + " must not be empty, got " + shape_of(m.rows, m.cols));
    is(name, m, m.type, m.rows, m.cols);
  }
  void at_least(const char* name, std::int64_t value, std::int64_t least) const {
    if (value < least) fail(fmt::format("{} must be at least {}, got {}", name, least, value));
  }
  void at_most(const char* name, std::int64_t value, std::int64_t most) const {
    if (value > most) fail(fmt::format("{} must be 0 to {}, got {}", name, most, value));
  }
  void channels(const char* name, std::int64_t D) const {
    if (D < 1 || D > kMaxHeadChannels)
      fail(fmt::format("{} must have 1 to {} channels a head, got {}", name, kMaxHeadChannels, D));
  }
  void scale(float scale) const {
    if (!(scale > 0)) fail("scale must be above 0, got " + std::to_string(scale));
  }
  void dropout(const Dropout& d) const {
    if (!(d.rate >= 0 && d.rate < 1)) fail("dropout must be in [0, 1), got " + std::to_string(d.rate));
  }

 private:
  const char* operation_;
};

// Of the operations of ops/update.h.
void check_operation(const Check& check, const SumBits& op);
void check_operation(const Check& check, const Sum& op);
void check_operation(const Check& check, const SquareSums& op);
void check_operation(const Check& check, const GradientNorm& op);
void check_operation(const Check& check, const AdamW& op);
void check_operation(const Check& check, const PackRows& op);
void check_operation(const Check& check, const SumRows& op);
void check_operation(const Check& check, const PutRows& op);
void check_operation(const Check& check, const Zero& op);
void check_operation(const Check& check, const Round& op);
void check_operation(const Check& check, const Exchange& op);

}  // namespace longstride
