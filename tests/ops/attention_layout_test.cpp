// These tests run attention over operands that lie apart in memory, and over some of the queries at a time.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ops/attention_bounds.h"
#include "ops/attention_memory.h"
#include "ops/on_device.h"
#include "pattern/random_patterns.h"

namespace longstride::tests {
namespace {

class AttentionLayout : public OnDevice {
 protected:
  const RunAll run_all = [this](std::vector<Operation> operations) { run(std::move(operations)); };
  void expect_pieces_are_the_whole(const AttentionCase& c, const std::vector<std::int64_t>& cuts);
};
LONGSTRIDE_ON_EVERY_DEVICE(AttentionLayout);

const std::vector<std::vector<std::string>>& head_mixes() {
  static const std::vector<std::vector<std::string>> kMixes = {
      {"dense", "window(70)"},
      {"strided(16)", "strided(16)", "strided(16)"},
      {"fixed(32,8)", "column(2) | column(3)", "column(100)"},
      {"previous_row(40) | column(9)", "digits(4,3)"},
  };
  return kMixes;
}

// Which bits come out depends on no stride: the same numbers lie elsewhere.
TEST_P(AttentionLayout, AnyStridesGiveTheSameBitsAndLeaveTheGapsAlone) {
  for (const std::vector<std::string>& heads : head_mixes())
    for (const DType type : kTypes) {
      const AttentionCase c = attention_case(heads, 2, 210, static_cast<std::int64_t>(heads.size()), 20, 33);
      every_way([&](const std::string& way) {
        const AttentionResult wanted = run_attention(run_all, c, type);
        for (const Layout layout : {Layout::by_position, Layout::by_head, Layout::apart}) {
          SCOPED_TRACE(heads[0] + " " + way + " layout " + std::to_string(static_cast<int>(layout)));
          AttentionMatrices matrices(c, type, layout);
          run({matrices.forward(), matrices.backward()});
          const AttentionResult got = matrices.result();
          EXPECT_EQ(got.out, wanted.out);
          EXPECT_EQ(got.dq, wanted.dq);
          EXPECT_EQ(got.dk, wanted.dk);
          EXPECT_EQ(got.dv, wanted.dv);
          EXPECT_TRUE(matrices.gaps_untouched());
        }
      });
    }
}

// The whole, read in pieces that begin at `cuts`.
AttentionResult run_in_pieces(const RunAll& run, const AttentionCase& c, DType type, Layout layout,
                              const std::vector<std::int64_t>& cuts) {
  AttentionMatrices matrices(c, type, layout);
  for (std::size_t i = 0; i < cuts.size(); ++i)
    matrices.forward_of(cuts[i], i + 1 < cuts.size() ? cuts[i + 1] : c.T, run);
  return matrices.result();
}

void AttentionLayout::expect_pieces_are_the_whole(const AttentionCase& c, const std::vector<std::int64_t>& cuts) {
  for (const DType type : kTypes) {
    AttentionResult bound;
    const AttentionResult wanted = define_attention_forward(c, type, bound);
    every_way([&](const std::string& way) {
      SCOPED_TRACE(to_string(c.patterns[0]) + " T " + std::to_string(c.T) + " " + way);
      for (const Layout layout : {Layout::columns, Layout::by_head}) {
        const AttentionResult got = run_in_pieces(run_all, c, type, layout, cuts);
        expect_within("out", got.out, wanted.out, bound.out);
        expect_within("lse", got.lse, wanted.lse, bound.lse);
      }
    });
  }
}

TEST_P(AttentionLayout, PiecesOfASequenceAreTheWhole) {
  for (const std::vector<std::string>& heads : head_mixes()) {
    const AttentionCase c = attention_case(heads, 2, 333, static_cast<std::int64_t>(heads.size()), 20, 17);
    for (const std::vector<std::int64_t>& cuts :
         {std::vector<std::int64_t>{0, 64, 256}, {0, 1}, {0, 332}, {0, 31, 33, 100, 229, 230}})
      expect_pieces_are_the_whole(c, cuts);
    if (testing::Test::HasFailure()) return;
  }
}

TEST_P(AttentionLayout, PiecesOfRandomPatternsAtRandomCutsAreTheWhole) {
  EXPECT_TRUE(rc::check([this] {
    const std::int64_t T = random_length();
    AttentionCase c = attention_case({"dense"}, 1, T, 3, 9, 18);
    for (Pattern& pattern : c.patterns) pattern = random_pattern(T);
    std::vector<std::int64_t> cuts = {0};
    while (cuts.size() < 4 && cuts.back() + 1 < T) cuts.push_back(random_number(cuts.back() + 1, T - 1));
    expect_pieces_are_the_whole(c, cuts);
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

}  // namespace
}  // namespace longstride::tests
