// SparseAttention of longstride/sparse_attention.h: checks, tilings, and the operation of ops.h over the caller's
// memory.
#include "longstride/sparse_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <string>

#include "longstride/error.h"
#include "ops/ops.h"
#include "ops/prepared_attention.h"
#include "pattern/tiles.h"

namespace longstride {

namespace {

[[noreturn]] void fail(const std::string& sentence) { throw_invalid("sparse_attention: " + sentence); }

// Beyond anything that fits a machine, and small enough that no product of sizes overflows.
constexpr std::int64_t kMostHeads = std::int64_t{1} << 20, kMostPositions = std::int64_t{1} << 31;

void in_range(const char* name, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) fail(fmt::format("{} must be in [{}, {}], got {}", name, least, most, value));
}

void check(const SparseAttentionShape& shape) {
  in_range("B", shape.B, 1, kMostHeads);
  in_range("T", shape.T, 1, kMostPositions);
  in_range("H", shape.H, 1, kMostHeads);
  in_range("B * H", shape.B * shape.H, 1, kMostHeads);
  in_range("Dq", shape.Dq, 1, kMaxHeadChannels);
  in_range("Dv", shape.Dv, 1, kMaxHeadChannels);
  if (shape.format != NumberFormat::float32 && shape.format != NumberFormat::bfloat16)
    fail("format must be float32 or bfloat16");
  const auto patterns = static_cast<std::int64_t>(shape.patterns.size());
  if (patterns != 1 && patterns != shape.H)
    fail(fmt::format("needs one pattern, or one for each of {} heads, got {}", shape.H, patterns));
  if (!(shape.scale >= 0) || !std::isfinite(shape.scale))
    fail(fmt::format("scale must be above 0, or 0 for 1 / sqrt(Dq), got {}", shape.scale));
  in_range("threads", shape.threads, 0, std::numeric_limits<int>::max());
}

}  // namespace

struct SparseAttention::State {
  SparseAttentionShape shape;
  std::deque<Tiling> tilings;           // one a distinct pattern
  std::vector<const Tiling*> of_heads;  // (H)
  std::unique_ptr<PreparedAttention> prepared;

  explicit State(const SparseAttentionShape& of) : shape(of) {
    check(shape);
    for (std::int64_t h = 0; h < shape.H; ++h) {
      const std::size_t which = shape.patterns.size() == 1 ? 0 : static_cast<std::size_t>(h);
      const Pattern pattern = for_head(shape.patterns[which], h);
      const auto known = std::find_if(tilings.begin(), tilings.end(),
                                      [&](const Tiling& tiling) { return tiling.pattern() == pattern; });
      of_heads.push_back(known == tilings.end() ? &tilings.emplace_back(pattern, shape.T) : &*known);
    }
    Attention op = operation();
    op.q = op.k = heads({}, shape.Dq);
    op.v = op.out = heads({}, shape.Dv);
    prepared = prepare_attention_on_cpu(op, shape.threads);
  }

  Attention operation() const {
    Attention op;
    op.B = shape.B, op.T = shape.T, op.H = shape.H, op.tilings = of_heads.data();
    op.scale = shape.scale > 0 ? shape.scale : 1 / std::sqrt(static_cast<float>(shape.Dq));
    return op;
  }
  Heads heads(const AttentionOutput& x, std::int64_t D) const {
    const DType type = shape.format == NumberFormat::float32 ? DType::float32 : DType::bfloat16;
    return {x.data, type, shape.B, shape.T, shape.H, D, x.batch_stride, x.row_stride, x.head_stride};
  }
  Heads operand(const char* name, const AttentionOutput& x, std::int64_t D) const {
    if (x.data == nullptr) fail(fmt::format("{} has no memory", name));
    const Heads found = heads(x, D);
    if (const std::string overlap = overlap_of(name, found); !overlap.empty()) fail(overlap);
    return found;
  }
  // An operation writes to none of its inputs.
  Heads operand(const char* name, const AttentionInput& x, std::int64_t D) const {
    return operand(name, AttentionOutput{const_cast<void*>(x.data), x.batch_stride, x.row_stride, x.head_stride}, D);
  }
  template <class Out>
  Attention forward(const AttentionInput& q, const AttentionInput& k, const AttentionInput& v, const Out& out,
                    const float* lse) const {
    Attention op = operation();
    op.q = operand("q", q, shape.Dq);
    op.k = operand("k", k, shape.Dq);
    op.v = operand("v", v, shape.Dv);
    op.out = operand("out", out, shape.Dv);
    if (lse == nullptr) fail("lse has no memory");
    op.lse = array(const_cast<float*>(lse), shape.B * shape.H * shape.T);
    return op;
  }
};

SparseAttention::SparseAttention(const SparseAttentionShape& shape) : state_(std::make_unique<State>(shape)) {}
SparseAttention::~SparseAttention() = default;
SparseAttention::SparseAttention(SparseAttention&&) noexcept = default;
SparseAttention& SparseAttention::operator=(SparseAttention&&) noexcept = default;

void SparseAttention::forward(const AttentionInput& q, const AttentionInput& k, const AttentionInput& v,
                              const AttentionOutput& out, float* lse) {
  state_->prepared->forward(state_->forward(q, k, v, out, lse));
}

void SparseAttention::backward(const AttentionInput& q, const AttentionInput& k, const AttentionInput& v,
                               const AttentionInput& out, const float* lse, const AttentionInput& dout,
                               const AttentionOutput& dq, const AttentionOutput& dk, const AttentionOutput& dv) {
  const std::int64_t Dq = state_->shape.Dq, Dv = state_->shape.Dv;
  AttentionBackward op;
  op.forward = state_->forward(q, k, v, out, lse);
  op.dout = state_->operand("dout", dout, Dv);
  op.dq = state_->operand("dq", dq, Dq);
  op.dk = state_->operand("dk", dk, Dq);
  op.dv = state_->operand("dv", dv, Dv);
  state_->prepared->backward(op);
}

std::int64_t SparseAttention::scratch_bytes() const { return state_->prepared->scratch_bytes(); }

}  // namespace longstride
