// These tests hold lists of rows against definitions: which rows are packed, how those of processes are added, and
// where they go.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(RowLists);

constexpr std::int64_t kTables[] = {1, 2, 255, 256, 257, 700};  // rows, around blocks
constexpr std::int64_t kRows[] = {1, 17, 64};                   // elements of a row

struct ListOfRows {
  std::vector<std::int64_t> count = {-1};
  std::vector<std::int32_t> rows;
  std::vector<float> values;
  ListOfRows(std::int64_t room, std::int64_t row)
      : rows(static_cast<std::size_t>(room), -1), values(static_cast<std::size_t>(room * row), NAN) {}
  RowList list() { return {array_of(count), array_of(rows), array_of(values)}; }
  // What it lists, as its definition says it: count, rows, values.
  definitions::Values all(std::int64_t row) {
    const std::int64_t size = list().size();
    definitions::Values all = {static_cast<double>(count[0])};
    all.insert(all.end(), rows.begin(), rows.begin() + size);
    all.insert(all.end(), values.begin(), values.begin() + size * row);
    return all;
  }
};

// Every `apart`-th row has something, the others 0 and -0.
std::vector<float> some_rows(std::int64_t rows, std::int64_t row, std::int64_t apart, std::int64_t seed) {
  std::vector<float> table = random_floats(rows * row, seed);
  for (std::int64_t i = 0; i < rows * row; ++i)
    if (apart == 0 || i / row % apart != 0) table[static_cast<std::size_t>(i)] = i % 2 == 0 ? 0.0f : -0.0f;
  return table;
}

TEST_P(RowLists, PackIsItsDefinition) {
  for (const std::int64_t rows : kTables) {
    for (const std::int64_t row : kRows) {
      for (const std::int64_t apart : {0, 1, 3, 300}) {
        std::vector<float> chosen_by = some_rows(rows, row, apart, 1), from = random_floats(rows * row, 2);
        for (const std::int64_t room : {rows, std::int64_t{1}, (rows + 5) / 6}) {
          const std::string what = std::to_string(rows) + " rows of " + std::to_string(row) + ", each " +
                                   std::to_string(apart) + "-th, room for " + std::to_string(room);
          const ListOfRows nothing(room, row);
          ListOfRows made = nothing;
          const PackRows op{array_of(chosen_by), array_of(from), row, made.list()};
          definitions::RowListValues want = definitions::pack_rows(op);
          want.values.insert(want.values.begin(), want.rows.begin(), want.rows.end());
          want.values.insert(want.values.begin(), want.count);
          const definitions::Values got = same_for_any_threads(what, [&] {
            made = nothing;
            run(op);
            return made.all(row);
          });
          expect_same_bits(got, want.values, what);
          EXPECT_EQ(got[0], apart == 0 ? 0 : static_cast<double>((rows + apart - 1) / apart)) << what;
        }
      }
    }
  }
}

TEST_P(RowLists, PackTakesWhatIsNotZeroHoweverLittleAndWhateverItIs) {
  constexpr std::int64_t kRow = 17;
  for (const float odd : {std::numeric_limits<float>::denorm_min(), -std::numeric_limits<float>::denorm_min(), NAN,
                          INFINITY, -INFINITY}) {
    for (const std::int64_t at : {0, 8, 16}) {
      std::vector<float> table(3 * kRow);
      table[static_cast<std::size_t>(kRow + at)] = odd;
      ListOfRows made(3, kRow);
      run(PackRows{array_of(table), array_of(table), kRow, made.list()});
      EXPECT_EQ(made.count[0], 1) << odd << " at " << at;
      EXPECT_EQ(made.rows[0], 1) << odd;
      EXPECT_EQ(std::bit_cast<std::uint32_t>(made.values[static_cast<std::size_t>(at)]),
                std::bit_cast<std::uint32_t>(odd));
    }
  }
}

// Gradients of processes whose sums depend on their order: each has rows that some of the others lack.
struct Gradients {
  std::vector<std::vector<float>> dense;  // by process
  Gradients(std::int64_t P, std::int64_t rows, std::int64_t row) {
    for (std::int64_t p = 0; p < P; ++p) {
      dense.push_back(random_floats(rows * row, 10 + p));
      for (std::int64_t i = 0; i < rows * row; ++i) {
        float& x = dense.back()[static_cast<std::size_t>(i)];
        x = std::ldexp(x, static_cast<int>((i * 7 + p * 5) % 30));
        const bool has = (i / row * 31 + p * 17) % 7 < (i / row) % 4 + p % 3;
        if (!has) x = 0;
      }
    }
  }
};

// A list and what is whole give the same bits: rows of zeros change nothing.
TEST_P(RowLists, SumIsTheTreeOfWholeTables) {
  for (const std::int64_t P : {2, 4, 8}) {
    for (const std::int64_t rows : {5, 256, 600}) {
      for (const std::int64_t row : kRows) {
        const Gradients start(P, rows, row);
        Gradients whole = start;
        std::vector<Operation> tree;
        for (std::int64_t apart = 1; apart < P; apart *= 2) {
          for (std::int64_t p = 0; p < P; p += 2 * apart) {
            auto &a = whole.dense[static_cast<std::size_t>(p)], &b = whole.dense[static_cast<std::size_t>(p + apart)];
            tree.emplace_back(Sum{array_of(a), array_of(b), array_of(a)});
          }
        }
        run(tree);
        for (std::int64_t rank = 0; rank < P; ++rank) {
          const std::string what = std::to_string(rank) + " of " + std::to_string(P) + ", " + std::to_string(rows) +
                                   " rows of " + std::to_string(row);
          Gradients of = start;
          std::vector<ListOfRows> lists;
          std::vector<Operation> pack;
          SumRows op{array_of(of.dense[static_cast<std::size_t>(rank)]), row, rank, {}};
          for (std::int64_t p = 0; p < P; ++p) lists.emplace_back(rows, row);
          for (std::int64_t p = 0; p < P; ++p) {
            if (p == rank) continue;
            std::vector<float>& dense = of.dense[static_cast<std::size_t>(p)];
            op.others.push_back(lists[static_cast<std::size_t>(p)].list());
            run(PackRows{array_of(dense), array_of(dense), row, op.others.back()});
          }
          const std::vector<ListOfRows> packed = lists;
          expect_same_bits(definitions::sum_rows(op), as_values(whole.dense[0]), what + ", the definition");
          same_for_any_threads(what, [&] {
            of.dense[static_cast<std::size_t>(rank)] = start.dense[static_cast<std::size_t>(rank)];
            for (std::size_t p = 0; p < lists.size(); ++p) {
              std::copy(packed[p].values.begin(), packed[p].values.end(), lists[p].values.begin());
            }
            run(op);
            EXPECT_EQ(bits_of(of.dense[static_cast<std::size_t>(rank)]), bits_of(whole.dense[0])) << what;
            return as_values(of.dense[static_cast<std::size_t>(rank)]);
          });
        }
      }
    }
  }
}

// What makes a row that is left out as good as one that is added: the sums that there are begin with +0 and are never
// -0.
TEST_P(RowLists, GradientsAreNeverMinusZero) {
  constexpr std::int64_t kC = 9;
  std::vector<std::int32_t> tokens = {1, 1, 1, 1}, hash_rows = {0, 0, 1, 1};
  std::vector<float> start(kC), token(2 * kC), table(3 * kC), dstart(kC), dtoken(2 * kC), dtable(3 * kC);
  HostMatrix dout(DType::float32, 4, kC, 1);
  for (std::int64_t c = 0; c < kC; ++c) {
    dout.set(0, c, -0.0f), dout.set(1, c, -0.0f);           // row 0 of the table
    dout.set(2, c, 0x1p-149f), dout.set(3, c, -0x1p-149f);  // row 1
  }
  EmbedBackward op;
  op.forward.B = 1, op.forward.T = 4, op.forward.V = 2, op.forward.buckets = 3;
  op.forward.tokens = array_of(tokens), op.forward.start = array_of(start), op.forward.token = array_of(token);
  op.forward.hash = {array_of(table)}, op.forward.hash_rows = array_of(hash_rows);
  op.dout = dout.view(), op.dstart = array_of(dstart), op.dtoken = array_of(dtoken), op.dhash = {array_of(dtable)};
  std::vector<float> other = dtable;
  every_way([&](const std::string& way) {
    std::fill(dtable.begin(), dtable.end(), 0.0f);
    run({op, Sum{array_of(dtable), array_of(other), array_of(dtable)}});
    EXPECT_EQ(bits_of(dtable), std::vector<std::uint32_t>(dtable.size(), 0u)) << way;
  });
}

TEST_P(RowLists, PutIsItsDefinitionAndLeavesOtherRowsAlone) {
  for (const std::int64_t rows : kTables) {
    for (const std::int64_t row : kRows) {
      for (const std::int64_t apart : {0, 1, 3}) {
        const std::string what =
            std::to_string(rows) + " rows of " + std::to_string(row) + ", each " + std::to_string(apart) + "-th";
        std::vector<float> table = some_rows(rows, row, apart, 1);
        const std::vector<float> before = random_floats(rows * row, 2);
        std::vector<float> to = before;
        ListOfRows list(rows, row);
        run(PackRows{array_of(table), array_of(table), row, list.list()});
        const PutRows op{array_of(to), row, list.list()};
        const definitions::Values want = definitions::put_rows(op);
        const definitions::Values got = same_for_any_threads(what, [&] {
          to = before;
          run(op);
          return as_values(to);
        });
        expect_same_bits(got, want, what);
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto first = static_cast<std::size_t>(r * row);
          const std::vector<float>& from = apart > 0 && r % apart == 0 ? table : before;
          EXPECT_EQ(to[first], from[first]) << what << ", row " << r;
        }
      }
    }
  }
}

}  // namespace
}  // namespace longstride::tests
