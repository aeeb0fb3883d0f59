// These tests hold the transfer of keys and values between a cache and rows against its definition, and what
// was stored against what is recalled.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(CacheRowsOperation);

// Three heads of two groups, slots of a head side by side; of three sequences the one in the middle is asked for.
struct CacheRowsCase {
  static constexpr std::int64_t kHeads = 3, kRows = 9, kSlots = 17, kSequences = 3, kDq = 5, kDv = 20;
  std::vector<std::int32_t> sequence = {1}, group = {0, 1, 0};
  std::vector<std::int64_t> first_slot = {0, 6, 11};  // 6, 5 and 6 slots
  // The first group's rows and slots, then the second's: a row may lie in several slots.
  std::vector<std::int64_t> row = {8, 0, 3, 3, /**/ 7, 2}, begin = {0, 4, 6};
  std::vector<std::int32_t> slot = {5, 0, 2, 4, /**/ 4, 1};
  HostMatrix k, v, keys, values;

  explicit CacheRowsCase(DType type)
      : k(type, kRows, kHeads * kDq, 1, 2),
        v(type, kRows, kHeads * kDv, 2, 1),
        keys(type, kSequences * kSlots, kDq, 3),
        values(type, kSequences * kSlots, kDv, 4) {}
  CacheRows op(bool recall) {
    CacheRows op;
    op.recall = recall, op.H = kHeads, op.slots = kSlots, op.groups = 2;
    op.k = k.view(), op.v = v.view(), op.keys = keys.view(), op.values = values.view();
    op.sequence = array_of(sequence), op.first_slot = array_of(first_slot), op.group = array_of(group);
    op.row = array_of(row), op.slot = array_of(slot), op.begin = array_of(begin);
    return op;
  }
  definitions::Values all() {
    definitions::Values all = k.values();
    for (HostMatrix* part : {&v, &keys, &values}) append(all, part->values());
    return all;
  }
  definitions::Values defined(bool recall) {
    definitions::CacheRowsValues of = definitions::cache_rows(op(recall));
    for (const definitions::Values* part : {&of.v, &of.keys, &of.values}) append(of.k, *part);
    return of.k;
  }
};

TEST_P(CacheRowsOperation, CopiesWhatItIsToldAndNothingElse) {
  every_way([&](const std::string& way) {
    for (const DType type : kTypes) {
      for (const bool recall : {false, true}) {
        const std::string what = way + " " + word(type) + (recall ? " recalled" : " stored");
        CacheRowsCase untouched(type);
        const definitions::Values got = same_for_any_threads(what, [&] {
          CacheRowsCase c(type);
          run(c.op(recall));
          return c.all();
        });
        expect_same_bits(got, untouched.defined(recall), what);
        EXPECT_NE(got, untouched.all()) << what;
      }
    }
  });
}

TEST_P(CacheRowsOperation, RecallsWhatItStored) {
  for (const DType type : kTypes) {
    CacheRowsCase c(type), was(type);
    run(c.op(false));
    c.k.fill(NAN), c.v.fill(NAN);
    run(c.op(true));
    const definitions::Values k = c.k.values(), want = was.k.values();
    for (const std::int64_t row : {0, 3, 8})  // the first group's, of head 0
      for (std::int64_t d = 0; d < CacheRowsCase::kDq; ++d) {
        const auto at = static_cast<std::size_t>(row * CacheRowsCase::kHeads * CacheRowsCase::kDq + d);
        EXPECT_EQ(k[at], want[at]) << word(type) << " row " << row;
      }
    EXPECT_TRUE(std::isnan(k[static_cast<std::size_t>(CacheRowsCase::kHeads * CacheRowsCase::kDq)]));  // row 1
  }
}

}  // namespace
}  // namespace longstride::tests
