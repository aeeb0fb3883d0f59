// This draws attention over random patterns: whole passes with their gradients, rows against a cache, and the cache
// itself.
#include <memory>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "doctor/trials.h"
#include "ops/decode_memory.h"

namespace longstride::doctor {

namespace {

std::string drawn_pattern(Draw& draw) {
  const auto n = [&](std::int64_t least, std::int64_t most) { return draw.from(least, most); };
  const std::int64_t row = n(2, 40), kept = n(1, row);
  switch (n(0, 10)) {
    case 0:
      return "dense";
    case 1:
      return fmt::format("window({})", n(1, 100));
    case 2:
      return fmt::format("column({})", n(1, 40));
    case 3:
      return fmt::format("row({})", row);
    case 4:
      return fmt::format("summary({},{})", row, kept);
    case 5:
      return fmt::format("strided({})", row);
    case 6:
      return fmt::format("previous_row({})", row);
    case 7:
      return fmt::format("prefix({})", n(1, 70));
    case 8:
      return fmt::format("digits({},{})", n(2, 4), n(1, 3));
    case 9:
      return fmt::format("column({}) | column({}) | window({})", n(2, 9), n(2, 9), n(1, 20));
    default:
      return fmt::format("fixed({},{})", row, kept);
  }
}

std::vector<std::string> drawn_patterns(Draw& draw, std::int64_t H) {
  std::vector<std::string> patterns;
  for (std::int64_t h = 0; h < H; ++h) patterns.push_back(drawn_pattern(draw));
  return patterns;
}

std::string words_of(const AttentionCase& c, const std::vector<std::string>& patterns) {
  return fmt::format("B {}, T {}, D {} and {}, heads {}", c.B, c.T, c.Dq, c.Dv, fmt::join(patterns, ", "));
}

}  // namespace

Trial attention_trial(Draw& draw, DType type) {
  const std::int64_t B = draw.from(1, 2), T = draw.size(200), H = draw.from(1, 4);
  const std::vector<std::string> patterns = drawn_patterns(draw, H);
  const std::int64_t Dq = draw.size(80), Dv = draw.size(80);
  const auto c = std::make_shared<AttentionCase>(attention_case(patterns, B, T, H, Dq, Dv));
  const auto layout = static_cast<Layout>(draw.from(0, 3));
  AttentionResult bound;
  const AttentionResult wanted = define_attention(*c, type, bound);
  Trial trial{words_of(*c, patterns)};
  trial.want(wanted.out, bound.out), trial.want(wanted.lse, bound.lse);
  trial.want(wanted.dq, bound.dq), trial.want(wanted.dk, bound.dk), trial.want(wanted.dv, bound.dv);
  trial.made = [c, type, layout](const RunAll& run) {
    const AttentionResult got = run_attention(run, *c, type, layout);
    return joined({got.out, got.lse, got.dq, got.dk, got.dv});
  };
  return trial;
}

// Against whole passes: what the cache keeps is what they read.
Trial decode_attention_trial(Draw& draw, DType type) {
  const std::int64_t B = draw.from(1, 3), T = draw.from(1, 50), H = draw.from(1, 4);
  std::vector<std::string> patterns = drawn_patterns(draw, H);
  patterns.back() = "dense";  // one that needs the cache: a network leaves the operation out where no head does
  const std::int64_t Dq = draw.size(80), Dv = draw.size(80), most = draw.from(1, 30);
  const auto c = std::make_shared<AttentionCase>(attention_case(patterns, B, T, H, Dq, Dv));
  AttentionResult bound;
  // Weights stay float32 in either type: bfloat16 adds the rounding of the output alone.
  const AttentionResult wanted = define_attention_forward(*c, DType::float32, bound);
  const double of_output = type == DType::bfloat16 ? rounding(type) : 0;
  for (std::size_t e = 0; e < bound.out.size(); ++e)
    bound.out[e] = bound.out[e] * (1 + of_output) + of_output * std::abs(wanted.out[e]) + 1e-30;
  Trial trial{words_of(*c, patterns)};
  trial.want(wanted.out, bound.out);
  trial.made = [c, type, most](const RunAll& run) {
    Values all = decode(run, *c, type, in_pieces(*c, most));
    all.resize(static_cast<std::size_t>(c->B * c->H * c->T * c->Dv));  // what follows is the cache
    return all;
  };
  return trial;
}

namespace {

struct CacheOperands {
  static constexpr std::int64_t kHeads = 3, kSequences = 2;
  CacheOperands(Draw& draw, DType type, std::int64_t n, std::int64_t d)
      : k(type, n, kHeads * d, draw.seed(), 1),
        v(type, n, kHeads * (d + 3), draw.seed()),
        keys(type, kSequences * kHeads * n, d, draw.seed()),
        values(type, kSequences * kHeads * n, d + 3, draw.seed()),
        first_slot{0, n, 2 * n} {
    for (std::int64_t g = 0; g < 2; ++g) {  // each group copies some rows, each to a slot of its own
      std::vector<std::int64_t> order(static_cast<std::size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[static_cast<std::size_t>(draw.from(0, static_cast<std::int64_t>(i) - 1))]);
      for (std::int64_t i = draw.from(0, n - 1); i < n; ++i) {
        row.push_back(order[static_cast<std::size_t>(i)]);
        slot.push_back(static_cast<std::int32_t>(n - 1 - i));
      }
      begin.push_back(static_cast<std::int64_t>(row.size()));
    }
  }
  CacheRows op(bool recall, std::int64_t n) {
    CacheRows op;
    op.recall = recall, op.H = kHeads, op.slots = kHeads * n, op.groups = 2;
    op.k = k.view(), op.v = v.view(), op.keys = keys.view(), op.values = values.view();
    op.sequence = array_of(sequence), op.first_slot = array_of(first_slot), op.group = array_of(group);
    op.row = array_of(row), op.slot = array_of(slot), op.begin = array_of(begin);
    return op;
  }
  HostMatrix k, v, keys, values;
  std::vector<std::int32_t> sequence = {1}, group = {0, 1, 0}, slot;
  std::vector<std::int64_t> first_slot, row, begin = {0};
};

}  // namespace

Trial cache_rows_trial(Draw& draw, DType type) {
  const std::int64_t n = draw.size(64), D = draw.size(64);
  const bool recall = draw.from(0, 1) == 1;
  const CacheOperands from(draw, type, n, D);
  CacheOperands defined = from;
  const definitions::CacheRowsValues want = definitions::cache_rows(defined.op(recall, n));
  Trial trial{fmt::format("{} rows, D {}, {}", n, D, recall ? "recalled" : "stored")};
  trial.want(joined({want.k, want.v, want.keys, want.values}), 0, 0);
  trial.made = [from, recall, n](const RunAll& run) {
    CacheOperands on = from;
    run({on.op(recall, n)});
    return joined({on.k.values(), on.v.values(), on.keys.values(), on.values.values()});
  };
  return trial;
}

}  // namespace longstride::doctor
