// This computes the operations on lists of rows by their formulas.
#include <algorithm>

#include "ops/definitions.h"

namespace longstride::definitions {

namespace {

Values values_of(const Array<float>& x) { return {x.data, x.data + x.count}; }

}  // namespace

RowListValues pack_rows(const PackRows& op) {
  RowListValues out;
  for (std::int64_t r = 0; r < op.from.count / op.row; ++r) {
    const float* chosen_by = op.chosen_by.data + r * op.row;
    if (std::all_of(chosen_by, chosen_by + op.row, [](float x) { return x == 0; })) continue;
    if (out.count++ >= static_cast<double>(op.list.rows.count)) continue;
    out.rows.push_back(static_cast<double>(r));
    out.values.insert(out.values.end(), op.from.data + r * op.row, op.from.data + (r + 1) * op.row);
  }
  return out;
}

// own_r = ((x_0r + x_1r) + (x_2r + x_3r)) + ..., each sum rounded to float32
Values sum_rows(const SumRows& op) {
  std::vector<Values> terms;
  for (const RowList& list : op.others) {
    Values& dense = terms.emplace_back(static_cast<std::size_t>(op.own.count));
    for (std::int64_t k = 0; k < list.size(); ++k)
      std::copy_n(list.values.data + k * op.row, op.row, dense.begin() + list.rows[k] * op.row);
  }
  terms.insert(terms.begin() + op.rank, values_of(op.own));
  for (std::size_t apart = 1; apart < terms.size(); apart *= 2) {
    for (std::size_t p = 0; p < terms.size(); p += 2 * apart) {
      Values &a = terms[p], &b = terms[p + apart];
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(a[i] + b[i]);
    }
  }
  return terms.front();
}

Values put_rows(const PutRows& op) {
  Values to = values_of(op.to);
  for (std::int64_t k = 0; k < op.list.size(); ++k)
    std::copy_n(op.list.values.data + k * op.row, op.row, to.begin() + op.list.rows[k] * op.row);
  return to;
}

}  // namespace longstride::definitions
