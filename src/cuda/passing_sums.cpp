// This looks for pairs of operations of which the first can do a part of the second.
#include "cuda/passing_sums.h"

#include <variant>

namespace longstride::cuda {

namespace {

// Whether they may have bytes in common. Buffers of a program that are alive together have none.
template <class A, class B>
bool may_overlap(const A& a, const B& b) {
  if (!a || !b || (a.place.buffer >= 0) != (b.place.buffer >= 0)) return false;
  if (a.place.buffer >= 0)
    return a.place.buffer == b.place.buffer && a.place.offset < b.place.offset + bytes_of(b) &&
           b.place.offset < a.place.offset + bytes_of(a);
  if (a.data == nullptr || b.data == nullptr) return false;  // it is planned, with nothing there
  const auto *from = reinterpret_cast<const char*>(a.data), *other = reinterpret_cast<const char*>(b.data);
  return from < other + bytes_of(b) && other < from + bytes_of(a);
}

bool is_the_same(const Matrix& a, const Matrix& b) {
  return a.place.buffer == b.place.buffer && a.place.offset == b.place.offset && a.type == b.type && a.rows == b.rows &&
         a.cols == b.cols && a.stride == b.stride;
}

// Whether `between` leaves dx as it is and does not look at dbias.
bool lets_pass(const Operation& between, const Matrix& dx, const Array<float>& dbias) {
  if (std::holds_alternative<Mark>(between)) return true;
  if (!std::holds_alternative<LinearBackwardData>(between) && !std::holds_alternative<LinearBackwardWeights>(between))
    return false;
  bool lets = true;
  each_operand(between, [&](Use use, const auto& operand) {
    lets = lets && !(use != Use::reads && may_overlap(operand, dx)) && !may_overlap(operand, dbias);
  });
  return lets;
}

// The later operation whose dbias sums dx of operation `at`, or 0.
std::size_t sum_of(std::span<const Operation> operations, std::size_t at) {
  const auto* const slope = std::get_if<LinearBackwardData>(&operations[at]);
  if (slope == nullptr || !slope->pre || slope->dx.place.buffer < 0) return 0;
  for (std::size_t later = at + 1; later < operations.size(); ++later) {
    const auto* const sum = std::get_if<LinearBackwardWeights>(&operations[later]);
    if (sum == nullptr || !sum->dbias || !is_the_same(sum->dy, slope->dx)) continue;
    for (std::size_t between = at + 1; between < later; ++between)
      if (!lets_pass(operations[between], slope->dx, sum->dbias)) return 0;
    return later;
  }
  return 0;
}

}  // namespace

PassingSums passing_sums(std::span<const Operation> operations) {
  PassingSums sums{std::vector<std::size_t>(operations.size()), std::vector<bool>(operations.size())};
  for (std::size_t at = 0; at < operations.size(); ++at) {
    const std::size_t later = sum_of(operations, at);
    if (later == 0 || sums.taken[later]) continue;
    sums.of[at] = later;
    sums.taken[later] = true;
  }
  return sums;
}

}  // namespace longstride::cuda
