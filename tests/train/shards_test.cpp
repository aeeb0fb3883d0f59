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

TEST(Shards, PlacesOfAProcessFollowOneAnother) {
  EXPECT_TRUE(rc::check([] {
    const ParameterTable table(any_model());
    const int P = 1 << *rc::gen::inRange(0, 5), p = *rc::gen::inRange(0, P);
    const Shards shards(table, P);
    std::int64_t moved = 0, needed = 0, all = 0;
    for (int s = shards.segments() - 1; s >= 0; --s) {
      RC_ASSERT(shards.place_of_moved(s, p) >= moved && shards.place_of_moved(s, p) % 16 == 0);
      RC_ASSERT(shards.place_of_needed(s, p) >= needed && shards.place_of_needed(s, p) % 16 == 0);
      moved = shards.place_of_moved(s, p) + shards.moved(s, p).size();
      needed = shards.place_of_needed(s, p) + shards.needed(s, p).size();
      all += shards.moved(s, p).size();
      if (P == 1) RC_ASSERT(shards.place_of_moved(s, p) == shards.moved(s, p).begin);  // where they are
    }
    RC_ASSERT(shards.moved_elements(p) >= moved && shards.needed_elements(p) >= needed);
    RC_ASSERT(shards.moved_elements(p) <= all + 16 * shards.segments());
  }));
}

}  // namespace
}  // namespace longstride
