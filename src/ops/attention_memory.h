// This lays the operands of a case of attention out in the host's memory, in several ways, and reads what came out.
#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ops/attention_case.h"
#include "ops/host_matrix.h"
#include "ops/ops.h"

namespace longstride {

// Runs operations whose operands lie in the host's memory (ops/device_twin.h).
using RunAll = std::function<void(std::vector<Operation>)>;

// How the operands of a case lie in memory.
enum class Layout {
  columns,      // q, k and v are columns of one matrix, as are dq, dk and dv; heads side by side
  by_position,  // (B, T, H, D)
  by_head,      // (B, H, T, D)
  apart         // with gaps between heads, positions and sequences
};

class AttentionMatrices {
 public:
  AttentionMatrices(const AttentionCase& c, DType type, Layout layout = Layout::columns)
      : case_(c), type_(type), layout_(layout) {
    place(inputs_, {c.Dq, c.Dq, c.Dv}, {&q_, &k_, &v_});
    place(gradients_, {c.Dq, c.Dq, c.Dv}, {&dq_, &dk_, &dv_});
    place(outputs_[0], {c.Dv}, {&out_});
    place(outputs_[1], {c.Dv}, {&dout_});
    lse_.assign(static_cast<std::size_t>(c.B * c.H * c.T), NAN);
    put(c.q, q_), put(c.k, k_), put(c.v, v_), put(c.dout, dout_);
    for (const Pattern& pattern : c.patterns) tilings_.emplace_back(pattern, c.T);
    for (const Tiling& tiling : tilings_) pointers_.push_back(&tiling);
  }

  Attention forward() {
    const auto scale = static_cast<float>(case_.scale);
    return {case_.B, case_.T, case_.H, pointers_.data(), scale, q_, k_, v_, out_, array_of(lse_)};
  }
  AttentionBackward backward() { return {forward(), dout_, dq_, dk_, dv_}; }
  // `run` for the queries of [first, end) alone, which is given their lse (B, H, end - first).
  void forward_of(std::int64_t first, std::int64_t end, const RunAll& run) {
    Attention op = forward();
    const std::int64_t queries = end - first;
    op.first = first;
    for (Heads* x : {&op.q, &op.out}) {
      x->data = static_cast<char*>(x->data) + first * x->row_stride * size_of(type_);
      x->T = queries;
    }
    std::vector<float> lse(static_cast<std::size_t>(case_.B * case_.H * queries), NAN);
    op.lse = array_of(lse);
    run({op});
    for (std::int64_t bh = 0; bh < case_.B * case_.H; ++bh)
      std::copy_n(lse.data() + bh * queries, queries, lse_.data() + bh * case_.T + first);
  }
  AttentionResult result() const { return {get(out_), {lse_.begin(), lse_.end()}, get(dq_), get(dk_), get(dv_)}; }
  // True if every element between those of the operands still holds the NaN that it began with.
  bool gaps_untouched() const {
    std::vector<char> marked = inputs_;
    const auto mark = [&](const std::vector<char>& memory, std::initializer_list<const Heads*> operands) {
      marked = memory;
      for (const Heads* x : operands)
        each(*x, [&](std::size_t, std::int64_t at) {
          std::fill_n(marked.begin() + at * size_of(type_) + (static_cast<const char*>(x->data) - memory.data()),
                      size_of(type_), '\xff');
        });
      return std::count(marked.begin(), marked.end(), '\xff') == static_cast<std::int64_t>(marked.size());
    };
    return mark(inputs_, {&q_, &k_, &v_}) && mark(gradients_, {&dq_, &dk_, &dv_}) && mark(outputs_[0], {&out_});
  }

 private:
  // Operands of these channels in one memory that holds NaN.
  void place(std::vector<char>& memory, const std::vector<std::int64_t>& channels,
             const std::vector<Heads*>& operands) {
    const std::int64_t B = case_.B, T = case_.T, H = case_.H;
    std::int64_t all = 0, at = 0;
    for (const std::int64_t D : channels) all += D;
    for (std::size_t i = 0; i < channels.size(); ++i) {
      const std::int64_t D = channels[i];
      Heads& x = *operands[i];
      x = {nullptr, type_, B, T, H, D, T * H * D, H * D, D};
      if (layout_ == Layout::by_head) x.row_stride = D, x.head_stride = T * D;
      if (layout_ == Layout::apart) {
        x.head_stride = D + 3, x.row_stride = H * (D + 3) + 5, x.batch_stride = T * x.row_stride + 7;
      }
      if (layout_ == Layout::columns) x.row_stride = H * all + 3, x.batch_stride = T * x.row_stride;
      offsets_[&x] = at;
      at += layout_ == Layout::columns ? H * D : B * x.batch_stride;
    }
    if (layout_ == Layout::columns) at = B * T * (H * all + 3);
    memory.assign(static_cast<std::size_t>(at * size_of(type_)), '\xff');
    for (Heads* x : operands) x->data = memory.data() + offsets_[x] * size_of(type_);
  }
  // Visits (index in (B, H, T, D), elements from data).
  template <class Visit>
  static void each(const Heads& x, Visit visit) {
    std::size_t at = 0;
    for (std::int64_t b = 0; b < x.B; ++b)
      for (std::int64_t h = 0; h < x.H; ++h)
        for (std::int64_t t = 0; t < x.T; ++t)
          for (std::int64_t d = 0; d < x.D; ++d) visit(at++, x.offset(b, t, h) + d);
  }
  static void put(const std::vector<double>& values, const Heads& x) {
    each(x, [&](std::size_t from, std::int64_t to) {
      if (x.type == DType::float32)
        x.f32()[to] = static_cast<float>(values[from]);
      else
        x.bf16()[to] = bfloat16_from_float(static_cast<float>(values[from]));
    });
  }
  static std::vector<double> get(const Heads& x) {
    std::vector<double> values(static_cast<std::size_t>(x.B * x.H * x.T * x.D));
    each(x, [&](std::size_t to, std::int64_t from) {
      values[to] = x.type == DType::float32 ? x.f32()[from] : float_from_bfloat16(x.bf16()[from]);
    });
    return values;
  }

  const AttentionCase& case_;
  DType type_;
  Layout layout_;
  std::vector<Tiling> tilings_;
  std::vector<const Tiling*> pointers_;
  std::vector<char> inputs_, gradients_, outputs_[2];
  std::vector<float> lse_;
  std::map<const Heads*, std::int64_t> offsets_;
  Heads q_, k_, v_, out_, dout_, dq_, dk_, dv_;
};

// Forward and backward, one program.
inline AttentionResult run_attention(const RunAll& run, const AttentionCase& c, DType type,
                                     Layout layout = Layout::columns) {
  AttentionMatrices matrices(c, type, layout);
  run({matrices.forward(), matrices.backward()});
  return matrices.result();
}

}  // namespace longstride
