// This goes over tables in blocks of rows of fixed size, so that results do not depend on threads.
#include "cpu/row_lists.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

constexpr std::int64_t kBlock = 256;  // rows

std::int64_t blocks_of(std::int64_t rows) { return (rows + kBlock - 1) / kBlock; }

// What one thread keeps of the processes: the row that each has, and where its list goes on.
struct Cursor {
  float* values = nullptr;  // null: it has none
  std::int64_t next = 0;    // of a list
};

std::int64_t cursors_bytes(const SumRows& op) {
  return Workspace::rounded((std::ssize(op.others) + 1) * static_cast<std::int64_t>(sizeof(Cursor)));
}

const RowList& list_of(const SumRows& op, std::int64_t p) {
  return op.others[static_cast<std::size_t>(p < op.rank ? p : p - 1)];
}

// Where each process has row r, which the lists have come to. Returns whether one of the others has it.
bool find_row(const SumRows& op, std::int64_t r, Cursor* of) {
  bool found = false;
  for (std::int64_t p = 0; p <= std::ssize(op.others); ++p) {
    if (p == op.rank) {
      of[p].values = op.own.data + r * op.row;
      continue;
    }
    const RowList& list = list_of(op, p);
    const bool has = of[p].next < list.size() && list.rows[of[p].next] == r;
    of[p].values = has ? list.values.data + of[p].next++ * op.row : nullptr;
    found = found || has;
  }
  return found;
}

// ((0 + 1) + (2 + 3)) + ... of P processes, added up where the first of two has its row. Nothing is 0, and x + 0 is x:
// a sum of gradients begins with +0 and never becomes -0.
const float* add_row(Cursor* of, std::int64_t P, std::int64_t row) {
  for (std::int64_t apart = 1; apart < P; apart *= 2) {
    for (std::int64_t p = 0; p < P; p += 2 * apart) {
      float*& a = of[p].values;
      const float* b = of[p + apart].values;
      if (a == nullptr) {
        a = of[p + apart].values;
      } else if (b != nullptr) {
        for (std::int64_t i = 0; i < row; ++i) a[i] += b[i];
      }
    }
  }
  return of[0].values;
}

}  // namespace

bool is_zero(const float* x, std::int64_t count) {
  std::uint32_t bits = 0;
  for (std::int64_t i = 0; i < count; ++i) bits |= std::bit_cast<std::uint32_t>(x[i]) << 1;
  return bits == 0;
}

std::int64_t pack_rows_workspace_bytes(const PackRows& op) {
  const std::int64_t rows = op.from.count / op.row;
  return Workspace::rounded(rows) + Workspace::rounded((blocks_of(rows) + 1) * 8);
}

void pack_rows(const PackRows& op, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t rows = op.from.count / op.row, blocks = blocks_of(rows);
  auto* chosen = static_cast<bool*>(workspace.take(rows));
  auto* first = static_cast<std::int64_t*>(workspace.take((blocks + 1) * 8));  // place of each block's rows in the list
  first[0] = 0;
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t block = 0; block < blocks; ++block) {
    std::int64_t found = 0;
    for (std::int64_t r = block * kBlock; r < std::min(rows, (block + 1) * kBlock); ++r) {
      chosen[r] = !is_zero(op.chosen_by.data + r * op.row, op.row);
      found += chosen[r];
    }
    first[block + 1] = found;
  }
  std::partial_sum(first, first + blocks + 1, first);
  op.list.count[0] = first[blocks];
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t block = 0; block < blocks; ++block) {
    std::int64_t place = first[block];
    for (std::int64_t r = block * kBlock; r < std::min(rows, (block + 1) * kBlock); ++r) {
      if (!chosen[r] || place >= op.list.rows.count) continue;
      op.list.rows[place] = static_cast<std::int32_t>(r);
      std::copy_n(op.from.data + r * op.row, op.row, op.list.values.data + place * op.row);
      ++place;
    }
  }
}

std::int64_t sum_rows_workspace_bytes(const SumRows& op) { return threads() * cursors_bytes(op); }

void sum_rows(const SumRows& op, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t rows = op.own.count / op.row, blocks = blocks_of(rows), P = std::ssize(op.others) + 1;
  auto* cursors = static_cast<char*>(workspace.take(sum_rows_workspace_bytes(op)));
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t block = 0; block < blocks; ++block) {
    auto* of = reinterpret_cast<Cursor*>(cursors + omp_get_thread_num() * cursors_bytes(op));
    for (std::int64_t p = 0; p < P; ++p) {
      of[p] = {};
      if (p == op.rank) continue;
      const std::int32_t* listed = list_of(op, p).rows.data;
      of[p].next = std::lower_bound(listed, listed + list_of(op, p).size(), block * kBlock) - listed;
    }
    for (std::int64_t r = block * kBlock; r < std::min(rows, (block + 1) * kBlock); ++r) {
      if (!find_row(op, r, of)) continue;
      const float* sum = add_row(of, P, op.row);
      float* own = op.own.data + r * op.row;
      if (sum != own) std::copy_n(sum, op.row, own);
    }
  }
}

void put_rows(const PutRows& op) {
  const std::int64_t size = op.list.size();
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t k = 0; k < size; ++k)
    std::copy_n(op.list.values.data + k * op.row, op.row, op.to.data + op.list.rows[k] * op.row);
}

}  // namespace longstride::cpu
