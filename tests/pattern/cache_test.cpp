// The decoder's cache, simulated: what is read back is what the definition reads, and memory is what docs/model.md
// says.
#include "pattern/cache.h"

#include <gtest/gtest.h>

#include "pattern/random_patterns.h"

namespace longstride {
namespace {

// Decodes n positions; empty, or what went wrong.
std::string simulate(const Pattern& pattern, std::int64_t n) {
  const CacheLayout layout(pattern, n);
  std::vector<std::int64_t> store(layout.slots(), -1);
  std::vector<std::int32_t> slots;
  for (std::int64_t i = 0; i < n; ++i) {
    slots.clear();
    layout.write_slots(i, slots);
    for (const std::int32_t slot : slots) {
      if (slot < 0 || slot >= layout.slots()) return "a slot outside the store is written";
      store[slot] = i;
    }
    slots.clear();
    layout.read_slots(i, slots);
    std::size_t at = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      if (!attends(pattern, i, j)) continue;
      if (at >= slots.size()) return "query " + std::to_string(i) + " reads too few";
      if (slots[at] < 0 || slots[at] >= layout.slots()) return "a slot outside the store is read";
      if (store[slots[at++]] != j) return "query " + std::to_string(i) + " finds another key than " + std::to_string(j);
    }
    if (at != slots.size()) return "query " + std::to_string(i) + " reads too many";
    if (i % 7 == 0 || i + 1 == n) {
      std::vector<std::int64_t> positions;
      slots.clear();
      layout.held_slots(i + 1, positions, slots);
      if (positions.size() != slots.size()) return "positions and slots differ in number";
      std::vector<std::int64_t> held(layout.slots(), -1);
      for (std::size_t e = 0; e < slots.size(); ++e) held[slots[e]] = positions[e];
      if (held != store)
        return "what is held after " + std::to_string(i + 1) + " positions differs from what was written";
    }
  }
  return {};
}

TEST(Cache, GivesBackEveryKeyOfAwkwardPatterns) {
  for (const std::string& text : awkward_patterns())
    for (const std::int64_t n : {1, 2, 64, 255}) EXPECT_EQ(simulate(parse_pattern(text), n), "") << text << ", n " << n;
}

TEST(Cache, GivesBackEveryKeyOfRandomPatterns) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_length();
    const Pattern pattern = random_pattern(n);
    RC_LOG() << to_string(pattern) << " n " << n << "\n";
    RC_ASSERT(simulate(pattern, n) == "");
  }));
}

TEST(Cache, KeepsWhatThePatternNeedsAndNoMore) {
  const auto slots = [](const char* text, std::int64_t n) { return CacheLayout(parse_pattern(text), n).slots(); };
  EXPECT_EQ(slots("dense", 12288), 12288);
  EXPECT_EQ(slots("window(128)", 12288), 128);
  EXPECT_EQ(slots("window(128)", 100), 100);
  EXPECT_EQ(slots("row(128)", 12288), 128);
  EXPECT_EQ(slots("previous_row(128)", 12288), 256);
  EXPECT_EQ(slots("column(128)", 12288), 12288);
  EXPECT_EQ(slots("strided(128)", 12288), 12288);
  EXPECT_EQ(slots("summary(128,32)", 12288), 32 * 96);
  EXPECT_EQ(slots("fixed(128,32)", 12288), 128 + 32 * 96);
  EXPECT_EQ(slots("prefix(10) | window(20)", 12288), 30);
  EXPECT_EQ(slots("digits(10,2)", 12288), 91);
}

TEST(Cache, WritesNothingThatIsNeverRead) {
  const CacheLayout layout(parse_pattern("summary(8,2)"), 64);
  std::vector<std::int32_t> slots;
  layout.write_slots(5, slots);
  EXPECT_TRUE(slots.empty());
  layout.write_slots(6, slots);
  EXPECT_EQ(slots.size(), 1u);
}

TEST(Cache, LayoutsOfOnePatternAreEqual) {
  EXPECT_EQ(CacheLayout(parse_pattern("local(7)"), 100), CacheLayout(parse_pattern("window(8)"), 100));
  EXPECT_NE(CacheLayout(parse_pattern("local(7)"), 100), CacheLayout(parse_pattern("local(8)"), 100));
}

}  // namespace
}  // namespace longstride
