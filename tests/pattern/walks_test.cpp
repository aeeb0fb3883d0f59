// These tests hold walks, of blocks of queries and of blocks of keys, against the definition: every pair exactly once,
// whatever the sizes of blocks and tiles are; and both directions name the same stream for a pair.
#include "pattern/walks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longstride/error.h"
#include "pattern/random_patterns.h"

namespace longstride {
namespace {

// For each pair 1 + its stream, 0 where it does not attend; -1 where it came twice.
struct Pairs {
  std::int64_t n;
  std::vector<int> stream;
  explicit Pairs(std::int64_t count) : n(count), stream(static_cast<std::size_t>(count * count), 0) {}
  void add(int i, int j, int s) {
    int& of = stream[static_cast<std::size_t>(i * n + j)];
    of = of == 0 ? s + 1 : -1;
  }
};

// Sizes of blocks and of tiles.
struct Sizes {
  int block, tile;
};

bool bit(std::uint32_t mask, int x) { return (mask >> x & 1) != 0; }

void walk_keys(const Walks& walks, const Sizes& sizes, int first, int end, Pairs& pairs) {
  for (int sweep = 0; sweep < walks.sweeps(); ++sweep) {
    std::vector<int> seen(static_cast<std::size_t>(walks.n), 0);
    for (int b = 0; b < walks.query_blocks(sweep, sizes.block, first, end); ++b) {
      const WalkBlock queries = walks.query_block(sweep, sizes.block, first, end, b);
      if (queries.count == 0) continue;
      KeyWalk walk(walks, sweep, queries);
      WalkTile tile;
      for (int u = 0; u < queries.count; ++u) ++seen[static_cast<std::size_t>(queries.places.at(queries.begin + u))];
      while (walk.next(tile, sizes.tile)) {
        ASSERT_TRUE(tile.count > 0 && tile.count <= sizes.tile);
        for (int u = 0; u < queries.count; ++u)
          for (int x = 0; x < tile.count; ++x) {
            const int i = queries.places.at(queries.begin + u), at = tile.begin + x / 32 * 32;
            const bool visible = bit(walks.keys_of_query(tile.stream, tile.places, i, at), x % 32);
            if (visible) pairs.add(i, tile.places.at(tile.begin + x), tile.stream);
            ASSERT_TRUE(visible || !tile.whole) << i << " " << tile.places.at(tile.begin + x);
          }
      }
    }
    for (int i = 0; i < walks.n; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i >= first && i < end ? 1 : 0) << i;
  }
}

void walk_queries(const Walks& walks, const Sizes& sizes, Pairs& pairs) {
  std::vector<bool> begun(static_cast<std::size_t>(walks.n), false);
  for (int place = 0; place < walks.streams(); ++place) {
    const int s = walks.key_stream(place);
    std::vector<int> seen;
    for (int b = 0; b < walks.key_blocks(s, sizes.block); ++b) {
      const WalkBlock keys = walks.key_block(s, sizes.block, b);
      if (keys.count == 0) continue;
      for (int x = 0; x < keys.count; ++x) {
        const int j = keys.places.at(keys.begin + x);
        ASSERT_TRUE(j < walks.n);
        ASSERT_EQ(walks.begun_before(place, j), begun[static_cast<std::size_t>(j)])
            << "place " << place << " key " << j;
        seen.push_back(j);
      }
      QueryWalk walk(walks, s, keys);
      for (WalkTile tile; walk.next(tile, sizes.tile);) {
        ASSERT_TRUE(tile.count > 0 && tile.count <= sizes.tile && tile.stream == s);
        ASSERT_TRUE(tile.places.at(tile.begin + tile.count - 1) < walks.n);
        for (int x = 0; x < keys.count; ++x)
          for (int u = 0; u < tile.count; ++u) {
            const int j = keys.places.at(keys.begin + x), at = tile.begin + u / 32 * 32;
            const bool visible = bit(walks.queries_of_key(s, tile.places, j, at), u % 32);
            if (visible) pairs.add(tile.places.at(tile.begin + u), j, s);
            ASSERT_TRUE(visible || !tile.whole) << tile.places.at(tile.begin + u) << " " << j;
          }
      }
    }
    for (const int j : seen) begun[static_cast<std::size_t>(j)] = true;
    if (place + 1 == walks.streams()) {  // the last one ends the sums of every key
      ASSERT_EQ(static_cast<int>(seen.size()), walks.n);
    }
  }
  for (const bool is : begun) ASSERT_TRUE(is);
}

void expect_walks_are_the_definition(const Pattern& pattern, std::int64_t n, const Sizes& sizes) {
  const Walks walks = walks_of(pattern, n);
  Pairs by_query(n), by_key(n);
  walk_keys(walks, sizes, 0, static_cast<int>(n), by_query);
  if (!testing::Test::HasFatalFailure()) walk_queries(walks, sizes, by_key);
  if (testing::Test::HasFatalFailure()) return;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      const int stream = by_query.stream[static_cast<std::size_t>(i * n + j)];
      ASSERT_NE(stream, -1) << to_string(pattern) << " n " << n << " query " << i << " key " << j << " twice";
      ASSERT_EQ(stream > 0, attends(pattern, i, j))
          << to_string(pattern) << " n " << n << " query " << i << " key " << j;
      ASSERT_EQ(by_key.stream[static_cast<std::size_t>(i * n + j)], stream)
          << to_string(pattern) << " n " << n << " query " << i << " key " << j << " by keys";
    }
}

TEST(Walks, HoldEveryPairOfAwkwardPatternsExactlyOnceEitherWay) {
  for (const std::string& text : awkward_patterns())
    for (const std::int64_t n : {1, 2, 63, 65, 257})
      for (const Sizes sizes : {Sizes{64, 64}, Sizes{32, 16}, Sizes{192, 128}}) {
        SCOPED_TRACE(text);
        expect_walks_are_the_definition(parse_pattern(text), n, sizes);
        if (testing::Test::HasFailure()) return;
      }
}

TEST(Walks, HoldEveryPairOfRandomPatternsExactlyOnceEitherWay) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_length();
    const Pattern pattern = random_pattern(n);
    const Sizes sizes{static_cast<int>(random_number(1, 130)), static_cast<int>(random_number(1, 130))};
    RC_LOG() << to_string(pattern) << " n " << n << " blocks of " << sizes.block << " tiles of " << sizes.tile << "\n";
    expect_walks_are_the_definition(pattern, n, sizes);
    RC_ASSERT(!testing::Test::HasFailure());
  }));
}

// Tiles of fewer keys than a class of a column has before it ends: those that lie across the end are not whole.
TEST(Walks, OfColumnsThatEndHoldWhatIsBeforeTheEnd) {
  expect_walks_are_the_definition(parse_pattern("digits(20,2)"), 700, {8, 8});
}

TEST(Walks, OfSomeQueriesHoldThemAloneAndWhatTheyRead) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_length(), first = random_number(0, n - 1), end = random_number(first + 1, n);
    const Pattern pattern = random_pattern(n);
    RC_LOG() << to_string(pattern) << " n " << n << " queries [" << first << ", " << end << ")\n";
    Pairs pairs(n);
    walk_keys(walks_of(pattern, n), {static_cast<int>(random_number(1, 70)), 64}, static_cast<int>(first),
              static_cast<int>(end), pairs);
    RC_ASSERT(!testing::Test::HasFailure());
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        RC_ASSERT((pairs.stream[static_cast<std::size_t>(i * n + j)] > 0) ==
                  (i >= first && i < end && attends(pattern, i, j)));
  }));
}

// Cells of multiply-adds that tiles hold, for each pair that attends.
double waste(const std::string& text, std::int64_t n, const Sizes& sizes, bool by_keys) {
  const Pattern pattern = parse_pattern(text);
  const Walks walks = walks_of(pattern, n);
  std::int64_t tiles = 0;
  WalkTile tile;
  for (int s = 0; by_keys && s < walks.streams(); ++s)
    for (int b = 0; b < walks.key_blocks(s, sizes.block); ++b) {
      const WalkBlock keys = walks.key_block(s, sizes.block, b);
      if (keys.count == 0) continue;
      for (QueryWalk walk(walks, s, keys); walk.next(tile, sizes.tile);) ++tiles;
    }
  for (int sweep = 0; !by_keys && sweep < walks.sweeps(); ++sweep)
    for (int b = 0; b < walks.query_blocks(sweep, sizes.block, 0, static_cast<int>(n)); ++b) {
      const WalkBlock queries = walks.query_block(sweep, sizes.block, 0, static_cast<int>(n), b);
      if (queries.count == 0) continue;
      for (KeyWalk walk(walks, sweep, queries); walk.next(tile, sizes.tile);) ++tiles;
    }
  return static_cast<double>(tiles * sizes.block * sizes.tile) / static_cast<double>(count_pairs(pattern, n));
}

// A summary gathers its cells, a column its classes: tiles are full but at their ends.
TEST(Walks, ComputeLittleThatNobodyReads) {
  for (const bool by_keys : {false, true}) {
    EXPECT_LT(waste("dense", 12288, {64, 64}, by_keys), 1.02);
    EXPECT_LT(waste("fixed(128,32)", 12288, {64, 64}, by_keys), 1.1);
    EXPECT_LT(waste("fixed(128,32)", 12288, {192, 128}, by_keys), 1.3);
    EXPECT_LT(waste("window(1024)", 12288, {64, 64}, by_keys), 1.15);
    EXPECT_LT(waste("column(8)", 12288, {64, 64}, by_keys), 1.1);
    EXPECT_LT(waste("strided(128)", 12288, {64, 64}, by_keys), 2.5);
  }
}

// The first block has the latest queries, or the earliest keys: most work comes first.
TEST(Walks, BeginWithTheLongest) {
  const Walks walks = walks_of(parse_pattern("dense"), 1000);
  EXPECT_EQ(walks.query_block(0, 64, 0, 1000, 0).last(), 999);
  EXPECT_EQ(walks.query_block(0, 64, 0, 1000, 15).first(), 0);
  EXPECT_EQ(walks.key_block(0, 64, 0).first(), 0);
  const Walks classes = walks_of(parse_pattern("column(10)"), 1000);
  EXPECT_EQ(classes.query_blocks(0, 64, 0, 1000), 20);
  EXPECT_EQ(classes.query_block(0, 64, 0, 1000, 3).last(), 993);
  EXPECT_EQ(classes.query_block(0, 64, 0, 1000, 13).first(), 3);
}

TEST(Walks, RefuseWhatDoesNotFit) {
  EXPECT_THROW(walks_of({}, 10), Error);
  try {
    walks_of(parse_pattern("dense"), kMostWalkedPositions + 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "attention: this device takes at most 536870911 positions, got 536870912");
  }
}

// Sums of three positions stay in range where positions are the largest.
TEST(Walks, OfTheLongestSequencesDoNotOverflow) {
  const std::int64_t n = kMostWalkedPositions;
  const Walks walks = walks_of(parse_pattern("row(536870910) | previous_row(536870909) | window(500000000)"), n);
  const int last = static_cast<int>(n) - 1;
  const WalkBlock queries = walks.query_block(0, 64, 0, static_cast<int>(n), 0);
  EXPECT_EQ(queries.last(), last);
  std::int64_t keys = 0;
  WalkTile tile;
  for (KeyWalk walk(walks, 0, queries); walk.next(tile, 1 << 20);) keys += tile.count;
  EXPECT_EQ(keys, n);
  EXPECT_TRUE(bit(walks.queries_of_key(0, {}, last, last), 0));
  QueryWalk walk(walks, 0, walks.key_block(0, 64, 0));
  ASSERT_TRUE(walk.next(tile, 64));
  EXPECT_EQ(tile.begin, 0);
}

}  // namespace
}  // namespace longstride
