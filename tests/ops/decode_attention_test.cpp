// These tests hold decoding with a cache against the whole sequence by definition, position by position; and rows of
// one operation against the same rows alone, to the bit.
#include <gtest/gtest.h>

#include "ops/decode_memory.h"
#include "ops/on_device.h"

namespace longstride::tests {
namespace {

class DecodeOperation : public OnDevice {
 protected:
  const RunAll run_all = [this](std::vector<Operation> operations) { run(std::move(operations)); };
  // A program that marks may be asked for in another way than one without.
  const RunAll run_marked = [this](std::vector<Operation> operations) {
    operations.emplace_back(Mark{});
    run(std::move(operations));
  };
  void expect_whole_sequence(const std::vector<std::string>& patterns, std::int64_t T, DType type, std::int64_t first);
  void expect_rows_are_alone(const AttentionCase& c, const std::vector<std::vector<DecodeStep>>& ways_to_step);
};
LONGSTRIDE_ON_EVERY_DEVICE(DecodeOperation);

const std::vector<std::string> kPatterns = {"dense",         "window(20)",  "column(9)",        "row(30)",
                                            "summary(16,2)", "strided(12)", "previous_row(30)", "fixed(16,4)",
                                            "prefix(50)",    "digits(3,2)", "window(20)"};

// Positions from `first` on are decoded one after the other.
void DecodeOperation::expect_whole_sequence(const std::vector<std::string>& patterns, std::int64_t T, DType type,
                                            std::int64_t first) {
  for (const auto& [Dq, Dv] : {std::pair{16, 16}, std::pair{7, 33}, std::pair{64, 80}, std::pair{1, 1}}) {
    const AttentionCase c = attention_case(patterns, 2, T, static_cast<std::int64_t>(patterns.size()), Dq, Dv);
    AttentionResult bound;
    // Weights stay float32 in either type: bfloat16 adds the rounding of the output alone.
    const AttentionResult wanted = define_attention_forward(c, DType::float32, bound);
    const double of_output = type == DType::bfloat16 ? std::ldexp(1.0, -8) : 0;  // half of 2^-7
    every_way([&](const std::string& way) {
      const definitions::Values got = decode(run_all, c, type, side_by_side(c, first));
      for (std::size_t e = 0; e < wanted.out.size(); ++e) {
        const bool within = std::abs(got[e] - wanted.out[e]) <=
                            bound.out[e] * (1 + of_output) + of_output * std::abs(wanted.out[e]) + 1e-30;
        ASSERT_TRUE(within) << way << " Dq " << Dq << " Dv " << Dv << " head " << e / (T * Dv) % patterns.size()
                            << " position " << e / Dv % T << ": " << got[e] << ", wanted " << wanted.out[e];
      }
    });
  }
}

TEST_P(DecodeOperation, EqualsTheWholeSequenceAtEveryPosition) {
  expect_whole_sequence(kPatterns, 150, DType::float32, 0);
  expect_whole_sequence(kPatterns, 150, DType::bfloat16, 0);
}

TEST_P(DecodeOperation, PutsTheChunksOfManyKeysTogether) {  // 256 keys a chunk: at, and beyond, one and two
  expect_whole_sequence({"dense", "column(1) | window(3)", "window(300)"}, 520, DType::float32, 250);
  expect_whole_sequence({"dense", "window(300)"}, 520, DType::bfloat16, 250);
}

TEST_P(DecodeOperation, AnyNumberOfThreadsGivesTheSameBits) {
  const AttentionCase c = attention_case({"dense"}, 4, 333, 4, 64, 64);  // two chunks a head at the end
  every_way([&](const std::string& way) {
    same_for_any_threads(way, [&] { return decode(run_all, c, DType::float32, side_by_side(c, 280)); });
  });
}

// All of them, however they are stepped through, for every thread count, and caches at the end.
void DecodeOperation::expect_rows_are_alone(const AttentionCase& c,
                                            const std::vector<std::vector<DecodeStep>>& ways_to_step) {
  for (const DType type : kTypes) {
    every_way([&](const std::string& way) {
      set_threads(1);
      const definitions::Values alone = decode(run_all, c, type, one_by_one(c));
      set_threads(0);
      for (std::size_t s = 0; s < ways_to_step.size(); ++s) {
        for (const RunAll& run_them : {run_all, run_marked}) {
          const std::string what = way + " " + word(type) + " steps " + std::to_string(s);
          const definitions::Values got =
              same_for_any_threads(what, [&] { return decode(run_them, c, type, ways_to_step[s]); });
          expect_same_bits(got, alone, what + " against one by one");
          if (testing::Test::HasFailure()) return;
        }
      }
    });
  }
}

TEST_P(DecodeOperation, RowsOfSequencesAtDifferentPositionsAreThoseRowsAlone) {
  const AttentionCase c = attention_case(kPatterns, 3, 50, static_cast<std::int64_t>(kPatterns.size()), 16, 33);
  expect_rows_are_alone(c, {side_by_side(c), staggered(c, 1), staggered(c, 17)});
}

// Rings of 5, 9 and 12 are overwritten within one operation: each row reads what was there when its turn came.
TEST_P(DecodeOperation, ConsecutiveRowsOfASequenceAreThoseRowsOneByOne) {
  const AttentionCase c = attention_case({"window(5)", "strided(9)", "row(12)", "fixed(16,4)", "dense",
                                          "previous_row(9)", "summary(16,2)", "prefix(50)", "window(5)"},
                                         3, 60, 9, 16, 33);
  expect_rows_are_alone(c, {in_pieces(c, 3), in_pieces(c, 20), in_pieces(c, 60)});
}

TEST_P(DecodeOperation, RowsThatReadSeveralChunksAreThoseRowsAlone) {
  const AttentionCase c = attention_case({"dense", "window(7)", "window(270)"}, 2, 300, 3, 16, 8);
  expect_rows_are_alone(c, {staggered(c, 40), in_pieces(c, 60)});
}

TEST_P(DecodeOperation, IsItsDefinitionForRowsOfOneAndOfSeveralSequences) {
  const AttentionCase c = attention_case(kPatterns, 3, 60, static_cast<std::int64_t>(kPatterns.size()), 16, 20);
  for (const DType type : kTypes) {
    every_way([&](const std::string& way) {
      DecodeMemory memory(c, type);
      for (const DecodeStep& rows : in_pieces(c, 9)) {
        const definitions::Values want = memory.defined(rows), got = memory.step(run_all, rows);
        // Scores below 8 in size have errors below 2e-5 from 20 products; weights add up to 1, values are below 5.
        expect_close(got, want, 2e-4, 2 * rounding(type), way + " " + word(type));
      }
    });
  }
}

TEST_P(DecodeOperation, WhatOneSequenceHoldsDoesNotReachAnother) {
  AttentionCase c = attention_case({"dense", "window(5)"}, 2, 20, 2, 16, 16);
  const definitions::Values clean = decode(run_all, c, DType::float32, in_pieces(c, 7));
  const auto of_first = static_cast<std::ptrdiff_t>(c.H * c.T * c.Dv);
  for (std::int64_t e = c.row(1, 0, 0) * c.Dv; e < c.row(2, 0, 0) * c.Dv; ++e) c.v[static_cast<std::size_t>(e)] = NAN;
  every_way([&](const std::string& way) {
    for (const auto& steps : {side_by_side(c), in_pieces(c, 7)}) {
      const definitions::Values got = decode(run_all, c, DType::float32, steps);
      for (std::ptrdiff_t e = 0; e < of_first; ++e) ASSERT_TRUE(std::isfinite(got[static_cast<std::size_t>(e)])) << way;
      for (std::ptrdiff_t e = of_first; e < 2 * of_first; ++e)
        ASSERT_TRUE(std::isnan(got[static_cast<std::size_t>(e)])) << way;
    }
  });
  EXPECT_FALSE(std::isnan(clean[0]));
}

// One program may hold operations of other shapes: what one leaves in scratch memory is not another's.
TEST_P(DecodeOperation, OperationsOfOtherShapesFollowOneAnotherInAProgram) {
  const AttentionCase few = attention_case({"dense"}, 2, 300, 1, 64, 64);
  const AttentionCase many = attention_case({"dense", "window(270)"}, 9, 300, 8, 64, 64);
  every_way([&](const std::string& way) {
    DecodeMemory few_read(few, DType::float32), many_read(many, DType::float32);
    few_read.step(run_all, side_by_side(few, 298)[0]);
    many_read.step(run_all, side_by_side(many, 298)[0]);
    const DecodeStep few_rows = side_by_side(few)[298], many_rows = side_by_side(many)[298];
    const auto decoded = [&](bool together) {
      DecodeMemory of_few = few_read, of_many = many_read;
      auto a = of_few.prepare(few_rows), c = of_many.prepare(many_rows), e = of_few.prepare(side_by_side(few)[299]);
      const std::vector<Operation> all = {of_few.operation(a), of_many.operation(c), of_few.operation(e)};
      if (together) run(all);
      for (std::size_t i = 0; i < all.size() && !together; ++i) run(all[i]);
      definitions::Values out = a.rows.out.values();
      append(out, c.rows.out.values());
      append(out, e.rows.out.values());
      return out;
    };
    const definitions::Values apart = decoded(false);
    const std::string what = "together and apart " + way;
    expect_same_bits(same_for_any_threads(what, [&] { return decoded(true); }), apart, what);
  });
}

}  // namespace
}  // namespace longstride::tests
