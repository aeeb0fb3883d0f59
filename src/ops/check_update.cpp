// This checks operations on sums, gradients and parameters (ops/update.h).
#include <bit>
#include <limits>

#include "ops/check.h"

namespace longstride {

namespace {

// A table of rows, and the lists of some of them.
void check_rows(const Check& check, const char* name, const Array<float>& table, std::int64_t row) {
  check.given(name, table);
  check.at_least("row", row, 1);
  if (table.count % row != 0) check.fail(fmt::format("row must divide {}'s count {}, got {}", name, table.count, row));
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (table.count / row > kMost)
    check.fail(fmt::format("{} must have at most {} rows, got {}", name, kMost, table.count / row));
}

void check_list(const Check& check, const RowList& list, std::int64_t row) {
  check.is("count", list.count, 1);
  check.given("rows", list.rows);
  check.is("values", list.values, list.rows.count * row);
}

}  // namespace

void check_operation(const Check& check, const SumBits& op) {
  check.given("losses", op.losses);
  check.is("sum", op.sum, 1);
}

void check_operation(const Check& check, const Sum& op) {
  check.given("a", op.a);
  check.is("b", op.b, op.a.count);
  check.is("out", op.out, op.a.count);
}

void check_operation(const Check& check, const SquareSums& op) {
  check.given("x", op.x);
  check.is("sums", op.sums, square_sums_of(op.x.count));
}

void check_operation(const Check& check, const GradientNorm& op) {
  check.given("squares", op.squares);
  check.optional("bits", op.bits, 1);
  check.is("norm", op.norm, 1);
  check.is("scale", op.scale, 1);
  if (!(op.clip >= 0)) check.fail("clip must be at least 0, got " + std::to_string(op.clip));
}

void check_operation(const Check& check, const AdamW& op) {
  check.given("w", op.w);
  const std::int64_t count = op.w.count;
  check.is("m", op.m, count);
  check.is("v", op.v, count);
  check.is("dw", op.dw, count);
  check.optional("ema", op.ema, count);
  check.optional("copy", op.copy, count);
  check.is("scale", op.scale, 1);
  if (op.row < 0 || (op.row > 0 && count % op.row != 0))
    check.fail(fmt::format("row must be 0 or divide count {}, got {}", count, op.row));
}

void check_operation(const Check& check, const PackRows& op) {
  check_rows(check, "from", op.from, op.row);
  check.is("chosen_by", op.chosen_by, op.from.count);
  check_list(check, op.list, op.row);
}

void check_operation(const Check& check, const SumRows& op) {
  check_rows(check, "own", op.own, op.row);
  const auto processes = static_cast<std::int64_t>(op.others.size()) + 1;
  if (processes < 2 || !std::has_single_bit(static_cast<std::uint64_t>(processes)))
    check.fail(fmt::format("needs a power of two of processes, got {}", processes));
  if (op.rank < 0 || op.rank >= processes)
    check.fail(fmt::format("rank must be in [0, {}), got {}", processes, op.rank));
  for (const RowList& list : op.others) check_list(check, list, op.row);
}

void check_operation(const Check& check, const PutRows& op) {
  check_rows(check, "to", op.to, op.row);
  check_list(check, op.list, op.row);
}

void check_operation(const Check& check, const Zero& op) { check.given("memory", op.memory); }

void check_operation(const Check& check, const Round& op) {
  check.given("x", op.x);
  check.is("y", op.y, op.x.count);
}

void check_operation(const Check& check, const Exchange& op) {
  check.given("a", op.a);
  check.is("b", op.b, op.a.count);
}

}  // namespace longstride
