// These tests cut tables of parameters into the pieces of processes: every element is moved once, every chunk summed
// once, and rows that move as wholes are not cut.
#include "train/shards.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "ops/ops.h"

namespace longstride {
namespace {

ModelConfig any_model() {
  ModelConfig model;
  model.heads = *rc::gen::inRange(1, 4);
  model.width = model.heads * *rc::gen::inRange(1, 40);
  model.layers = *rc::gen::inRange(1, 6);
  model.context = 64;
  model.positions = {8, 8};
  model.attention = read_attention("dense");
  model.vocabulary = *rc::gen::inRange(2, 300);
  if (*rc::gen::arbitrary<bool>()) {
    model.hash_orders = {2, 3};
    model.hash_buckets = *rc::gen::inRange(1, 600);
  }
  return model;
}

// Ranges that follow one another from 0 to `end`, some of them empty.
bool are_a_row(std::vector<ElementRange> ranges, std::int64_t end) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::int64_t at = 0;
  for (const ElementRange& range : ranges) {
    if (range.begin != at || range.end < at) return false;
    at = range.end;
  }
  return at == end;
}

TEST(Shards, GiveEveryElementToOneProcess) {
  EXPECT_TRUE(rc::check([] {
    const ModelConfig model = any_model();
    const ParameterTable table(model);
    const int P = 1 << *rc::gen::inRange(0, 6);
    const Shards shards(table, P);
    RC_ASSERT(shards.segments() == model.layers + 2);  // one a mark of the backward pass
    std::vector<ElementRange> segments, summed, moved;
    for (int s = 0; s < shards.segments(); ++s) {
      segments.push_back(shards.segment(s));
      for (int p = 0; p < P; ++p) {
        summed.push_back(shards.summed(s, p));
        moved.push_back(shards.moved(s, p));
        RC_ASSERT(shards.summed(s, p).begin % kSquareSumsChunk == 0 || shards.summed(s, p).size() == 0);
        const ElementRange needed = shards.needed(s, p), segment = shards.segment(s);
        for (const ElementRange& range : {shards.summed(s, p), shards.moved(s, p)})
          RC_ASSERT(range.size() == 0 || (needed.begin <= range.begin && range.end <= needed.end));
        RC_ASSERT(segment.begin <= needed.begin && needed.end <= segment.end);
        for (const Parameter& entry : table.entries()) {
          for (const std::int64_t cut : {shards.moved(s, p).begin, shards.moved(s, p).end})
            if (entry.by_rows && cut > entry.offset && cut < entry.offset + entry.count)
              RC_ASSERT((cut - entry.offset) % model.width == 0);
        }
      }
    }
    RC_ASSERT(are_a_row(segments, table.store_elements()));
    RC_ASSERT(are_a_row(summed, table.store_elements()));
    RC_ASSERT(are_a_row(moved, table.store_elements()));
  }));
}

// A segment is final with its mark: nothing of it belongs to blocks that the backward pass has not reached.
TEST(Shards, SegmentsFollowTheBackwardPass) {
  const ModelConfig model = [] {
    ModelConfig m;
    m.width = 64, m.heads = 2, m.layers = 3, m.context = 64, m.positions = {64}, m.attention = read_attention("dense");
    return m;
  }();
  const ParameterTable table(model);
  const Shards shards(table, 4);
  EXPECT_GE(shards.segment(0).begin, table.final_norm_weight);
  for (int s = 1; s <= 3; ++s)
    EXPECT_GE(shards.segment(s).begin, table.blocks[static_cast<std::size_t>(3 - s)].attention_norm_weight);
  EXPECT_EQ(shards.segment(4).begin, 0);
}

// Rows of tables: each with one process, whole; what lies before and behind them is the rest of what that one moves.
TEST(Shards, TellRowsFromWhatLiesAroundThem) {
  int with = 0;
  EXPECT_TRUE(rc::check([&] {
    ModelConfig model = any_model();
    if (*rc::gen::arbitrary<bool>()) model.hash_buckets *= 16;
    const ParameterTable table(model);
    const int P = 1 << *rc::gen::inRange(0, 5), last = static_cast<int>(model.layers) + 1;
    const Shards shards(table, P);
    const Shards::Tables& tables = shards.tables();
    const bool gap = model.hash_orders.size() > 1 && model.hash_buckets * model.width % 16 != 0;
    RC_ASSERT((tables.range.size() > 0) == (!model.hash_orders.empty() && !gap));
    std::vector<ElementRange> rows;
    for (int s = 0; s <= last; ++s) {
      for (int p = 0; p < P; ++p) {
        const ElementRange moved = shards.moved(s, p), before = shards.before_rows(s, p),
                           behind = shards.behind_rows(s, p);
        RC_ASSERT(before.begin == moved.begin && before.end == shards.rows(s, p).begin);
        RC_ASSERT(behind.begin == shards.rows(s, p).end && behind.end == moved.end);
        RC_ASSERT(before.size() >= 0 && behind.size() >= 0);
        if (shards.rows(s, p).size() == 0) continue;
        RC_ASSERT(s == last);
        rows.push_back(shards.rows(s, p));
        RC_ASSERT((rows.back().begin - tables.range.begin) % model.width == 0);
        RC_ASSERT(intersection(rows.back(), tables.range) == rows.back());
      }
    }
    if (tables.range.size() == 0) {
      RC_ASSERT(rows.empty());
      return;
    }
    ++with;
    RC_ASSERT(tables.row == model.width && tables.rows == model.hash_buckets);
    RC_ASSERT(tables.range.size() == std::ssize(model.hash_orders) * model.hash_buckets * model.width);
    for (ElementRange& range : rows) range = {range.begin - tables.range.begin, range.end - tables.range.begin};
    RC_ASSERT(are_a_row(rows, tables.range.size()));
  }));
  EXPECT_GT(with, 10);
}

// A token uses one row of each table.
TEST(Shards, CountTheRowsThatTokensCanUse) {
  ModelConfig model;
  model.width = 16, model.heads = 2, model.layers = 1, model.context = 64, model.positions = {64};
  model.attention = read_attention("dense"), model.hash_orders = {2, 3, 4}, model.hash_buckets = 100;
  const Shards shards(ParameterTable(model), 1);
  const std::int64_t first = shards.tables().range.begin;
  const auto most = [&](std::int64_t from, std::int64_t to, std::int64_t tokens) {
    return shards.most_rows({first + from * 16, first + to * 16}, tokens);
  };
  EXPECT_EQ(most(0, 300, 7), 21);
  EXPECT_EQ(most(0, 300, 1000), 300);
  EXPECT_EQ(most(95, 103, 7), 5 + 3);
  EXPECT_EQ(most(95, 250, 7), 5 + 7 + 7);
  EXPECT_EQ(most(250, 250, 7), 0);
}

TEST(Shards, PlacesOfAProcessFollowOneAnother) {
  EXPECT_TRUE(rc::check([] {
    const ParameterTable table(any_model());
    const int P = 1 << *rc::gen::inRange(0, 5), p = *rc::gen::inRange(0, P);
    const Shards shards(table, P);
    std::int64_t moved = 0, all = 0;
    for (int s = shards.segments() - 1; s >= 0; --s) {
      RC_ASSERT(shards.place_of_moved(s, p) >= moved && shards.place_of_moved(s, p) % 16 == 0);
      moved = shards.place_of_moved(s, p) + shards.moved(s, p).size();
      all += shards.moved(s, p).size();
      if (P == 1) RC_ASSERT(shards.place_of_moved(s, p) == shards.moved(s, p).begin);  // where they are
    }
    RC_ASSERT(shards.moved_elements(p) >= moved);
    RC_ASSERT(shards.moved_elements(p) <= all + 16 * shards.segments());
  }));
}

}  // namespace
}  // namespace longstride
