// Schedules of attention against attends: every pair in exactly one item, whatever the heads, lengths and threads.
#include "cpu/attention_schedule.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "pattern/random_patterns.h"

namespace longstride::cpu {
namespace {

// Attention without addresses: B sequences of T positions, a pattern a head, queries from `first` on.
struct Shapes {
  std::deque<Tiling> tilings;
  std::vector<const Tiling*> pointers;
  Attention op;

  Shapes(const std::vector<Pattern>& patterns, std::int64_t B, std::int64_t T, const Interval& queries) {
    for (const Pattern& pattern : patterns) pointers.push_back(&tilings.emplace_back(pattern, T));
    op.B = B, op.T = T, op.H = static_cast<std::int64_t>(patterns.size()), op.tilings = pointers.data();
    op.q.T = queries.end - queries.begin, op.q.D = op.v.D = 8, op.first = queries.begin;
    op.q.type = DType::bfloat16;
  }
};

// How often each pair of each head is computed, and how often each query of each head and sweep.
class Counts {
 public:
  explicit Counts(const AttentionShape& shape) : shape_(shape), T_(shape.T) {
    pairs.assign(static_cast<std::size_t>(shape.heads() * T_ * T_), 0);
  }
  void blocks(std::int64_t head, int sweep, const Interval& which, std::int64_t stride) {
    const Tiling& tiling = shape_.tiling(head);
    each_step(
        which,
        [&](std::int64_t first, int count) {
          for (std::int64_t b = first; b < first + count; ++b) block(head, tiling.block(sweep, b, shape_.queries));
        },
        stride);
  }
  void lanes(const WorkItem& item, std::int64_t head) {
    LaneClasses classes = *lane_classes(shape_, head, item.sweep);
    for (classes.r = item.begin; classes.r < item.end; ++classes.r)
      for (int u = 0; u < classes.rows() && classes.lanes(u, 1) > 0; ++u) {
        ++queries[{head, item.sweep, classes.position(u)}];
        for (int k = 0; k <= u; ++k)
          if (u - k >= classes.nearest && u - k < classes.end) pair(head, classes.position(u), classes.position(k));
      }
  }
  int of(std::int64_t head, std::int64_t i, std::int64_t j) const {
    return pairs[static_cast<std::size_t>((head * T_ + i) * T_ + j)];
  }
  std::map<std::tuple<std::int64_t, int, std::int64_t>, int> queries;

 private:
  void block(std::int64_t head, const QueryBlock& of) {
    TileCursor cursor(shape_.tiling(head), of);
    for (std::int64_t u = 0; u < of.queries.count; ++u) ++queries[{head, of.sweep, of.queries.at(u)}];
    for (Tile tile; cursor.next(tile);)
      for (std::int64_t t = 0; t < tile.keys.count; ++t)
        for (std::int64_t u = 0; u < of.queries.count; ++u)
          if (tile.whole || (tile.visible[t] >> u & 1) != 0) pair(head, of.queries.at(u), tile.keys.at(t));
  }
  void pair(std::int64_t head, std::int64_t i, std::int64_t j) {
    ++pairs.at(static_cast<std::size_t>((head * T_ + i) * T_ + j));
  }
  const AttentionShape& shape_;
  std::int64_t T_;
  std::vector<int> pairs;
};

void count(const AttentionShape& shape, const WorkItem& item, Counts& counts) {
  for (std::int64_t head = item.head; head < item.head + item.heads; ++head) {
    if (item.kind == Work::lanes) counts.lanes(item, head);
    for (std::int64_t r = item.begin; r < item.end && item.kind == Work::gathered; ++r)
      counts.blocks(head, item.sweep, ResidueClass(shape, head, item.sweep, r).blocks, kBlocksInStep);
    if (item.kind == Work::blocks || item.kind == Work::band || item.kind == Work::all_keys)
      counts.blocks(head, item.sweep, {item.begin, item.end}, item.stride);
  }
}

// "" or what is wrong.
std::string fault(const AttentionShape& shape, const Schedule& schedule) {
  Counts counts(shape);
  std::map<std::int64_t, int> sweep_of;  // of heads: the one that was begun last
  for (const Phase& phase : schedule.phases)
    for (std::int64_t i = 0; i < phase.items(); ++i) {
      const WorkItem item = phase.item(i);
      if (item.head < item.group || item.head + item.heads > item.group + schedule.together) return "outside its group";
      if (item.head / shape.H != (item.head + item.heads - 1) / shape.H) return "heads of two sequences";
      for (std::int64_t head = item.head; head < item.head + item.heads; ++head) {
        if (item.sweep < sweep_of[head]) return "a sweep after a later one";
        sweep_of[head] = item.sweep;
      }
      count(shape, item, counts);
    }
  for (std::int64_t head = 0; head < shape.heads(); ++head)
    for (std::int64_t i = 0; i < shape.T; ++i) {
      const bool asked = i >= shape.queries.begin && i < shape.queries.end;
      for (int sweep = 0; shape.has(head, sweep); ++sweep)
        if (counts.queries[{head, sweep, i}] != asked) return "query " + std::to_string(i);
      for (std::int64_t j = 0; j < shape.T; ++j)
        if (counts.of(head, i, j) != (asked && attends(shape.tiling(head).pattern(), i, j)))
          return "head " + std::to_string(head) + " query " + std::to_string(i) + " key " + std::to_string(j);
    }
  return "";
}

std::vector<Pattern> parsed(const std::vector<std::string>& heads) {
  std::vector<Pattern> patterns;
  for (const std::string& text : heads) patterns.push_back(parse_pattern(text));
  return patterns;
}

TEST(AttentionSchedule, HoldsEveryPairOfRandomHeadsInOneItem) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t T = random_length(), B = random_number(1, 2);
    std::vector<Pattern> patterns;
    for (std::int64_t h = random_number(1, 5); h > 0; --h)
      patterns.push_back(h % 2 == 0 && !patterns.empty() ? patterns.back() : random_pattern(T));
    const int threads = static_cast<int>(random_number(1, 9));
    for (const Pattern& pattern : patterns) RC_LOG() << to_string(pattern) << ", ";
    RC_LOG() << "T " << T << " B " << B << " threads " << threads << "\n";
    const Shapes whole(patterns, B, T, {0, T});
    const AttentionShape shape(whole.op);
    RC_ASSERT(fault(shape, forward_schedule(shape, threads)) == "");
    RC_ASSERT(fault(shape, backward_schedule(shape, threads)) == "");
    const std::int64_t first = random_number(0, T - 1);
    const Shapes some(patterns, B, T, {first, random_number(first + 1, T)});
    const AttentionShape piece(some.op);
    RC_ASSERT(fault(piece, forward_schedule(piece, threads)) == "");
  }));
}

std::vector<Work> kinds(const AttentionShape& shape, const Schedule& schedule) {
  EXPECT_EQ(fault(shape, schedule), "");
  std::vector<Work> found;
  for (const Phase& phase : schedule.phases)
    for (std::int64_t i = 0; i < phase.items(); ++i)
      if (found.empty() || found.back() != phase.item(i).kind) found.push_back(phase.item(i).kind);
  return found;
}

TEST(AttentionSchedule, ChoosesWhatAPatternIsComputedBy) {
  using enum Work;
  struct Case {
    std::vector<std::string> heads;
    std::int64_t T;
    std::vector<Work> forward, backward;
  };
  for (const Case& c :
       {Case{{"dense"}, 500, {blocks}, {all_keys, add_pieces}}, Case{{"dense", "dense"}, 500, {blocks}, {all_keys}},
        Case{{"window(9)", "window(9)"}, 1000, {blocks}, {band}},
        Case{{"window(9)"}, 2000, {blocks}, {band, join_bands}}, Case{{"column(9)"}, 500, {lanes}, {lanes}},
        Case{{"column(3)"}, 500, {gathered}, {gathered}},
        Case{{"column(9) | prefix(3)"}, 500, {blocks, gathered}, {all_keys, add_pieces, gathered}},
        Case{{"strided(9)", "column(9)"}, 500, {blocks, lanes}, {band, lanes}},
        Case{{"column(2)", "column(2)"}, 2200, {blocks}, {all_keys}}}) {
    const Shapes shapes(parsed(c.heads), 1, c.T, {0, c.T});
    const AttentionShape shape(shapes.op);
    EXPECT_EQ(kinds(shape, forward_schedule(shape, 2)), c.forward) << c.heads[0];
    EXPECT_EQ(kinds(shape, backward_schedule(shape, 2)), c.backward) << c.heads[0];
  }
  const Shapes piece(parsed({"column(9)"}), 1, 500, {100, 400});  // lanes are for whole sequences
  const AttentionShape shape(piece.op);
  EXPECT_EQ(kinds(shape, forward_schedule(shape, 2)), std::vector<Work>{gathered});
}

// Strips, not items, are kept: a schedule does not grow with the sequence.
TEST(AttentionSchedule, StaysSmallAtAMillionPositions) {
  const std::int64_t T = std::int64_t{1} << 20;
  const Shapes shapes(std::vector<Pattern>(8, parse_pattern("strided(1024)")), 1, T, {0, T});
  const AttentionShape shape(shapes.op);
  for (const Schedule& schedule : {forward_schedule(shape, 64), backward_schedule(shape, 64)}) {
    std::int64_t strips = 0, items = 0;
    for (const Phase& phase : schedule.phases) strips += phase.strips(), items += phase.items();
    EXPECT_LE(strips, 64);
    EXPECT_GE(items, 64);
  }
}

}  // namespace
}  // namespace longstride::cpu
