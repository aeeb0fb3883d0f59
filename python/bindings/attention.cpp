// Sparse attention over the memory of tensors that Python holds.
#include "longstride/sparse_attention.h"

#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace longstride::python {
namespace {

using namespace nb::literals;

// An operand as the Python part hands it over: address, batch_stride, row_stride, head_stride.
using Operand = std::vector<std::int64_t>;

AttentionInput input(const Operand& operand) {
  return {reinterpret_cast<const void*>(operand.at(0)), operand.at(1), operand.at(2), operand.at(3)};
}
AttentionOutput output(const Operand& operand) {
  return {reinterpret_cast<void*>(operand.at(0)), operand.at(1), operand.at(2), operand.at(3)};
}

}  // namespace

void bind_attention(nb::module_& module) {
  nb::class_<SparseAttention>(module, "SparseAttention")
      .def(
          "__init__",
          [](SparseAttention* self, std::int64_t B, std::int64_t T, std::int64_t H, std::int64_t Dq, std::int64_t Dv,
             bool bfloat16, std::vector<Pattern> patterns, float scale, int threads) {
            const auto format = bfloat16 ? NumberFormat::bfloat16 : NumberFormat::float32;
            const SparseAttentionShape shape = {B, T, H, Dq, Dv, format, std::move(patterns), scale, threads};
            computing([&] { new (self) SparseAttention(shape); });
          },
          "B"_a, "T"_a, "H"_a, "Dq"_a, "Dv"_a, "bfloat16"_a, "patterns"_a, "scale"_a, "threads"_a)
      .def(
          "forward",
          [](SparseAttention& self, const Operand& q, const Operand& k, const Operand& v, const Operand& out,
             std::int64_t lse) {
            computing([&] { self.forward(input(q), input(k), input(v), output(out), reinterpret_cast<float*>(lse)); });
          },
          "q"_a, "k"_a, "v"_a, "out"_a, "lse"_a);
}

}  // namespace longstride::python
