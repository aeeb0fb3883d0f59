// Tiles against the definition: every pair once, no other pair, every query in every sweep.
#include "pattern/tiles.h"

#include <gtest/gtest.h>

#include <set>

#include "longstride/error.h"
#include "pattern/random_patterns.h"

namespace longstride {
namespace {

bool visible(const Tile& tile, std::int64_t u, std::int64_t t) { return tile.whole || (tile.visible[t] >> u & 1) != 0; }

void expect_sane(const QueryBlock& block, const Tile& tile) {
  ASSERT_GE(tile.keys.count, 1);
  ASSERT_LE(tile.keys.count, kTileKeys);
  for (std::int64_t t = 1; t < tile.keys.count; ++t) ASSERT_LT(tile.keys.at(t - 1), tile.keys.at(t));
  if (tile.whole) return;
  std::uint64_t any = 0;
  for (std::int64_t t = 0; t < tile.keys.count; ++t) {
    any |= tile.visible[t];
    if (block.queries.count < kTileQueries) {
      ASSERT_EQ(tile.visible[t] >> block.queries.count, 0u);
    }
  }
  ASSERT_NE(any, 0u) << "an empty tile";
}

// How often each pair (i, j) with i in `asked` is visible, all sweeps together.
void count_pairs_of_tiles(const Pattern& pattern, std::int64_t n, const Interval& asked, std::vector<int>& had) {
  const Tiling tiling(pattern, n);
  had.assign(n * n, 0);
  ASSERT_GE(tiling.sweeps(), 1);
  for (int sweep = 0; sweep < tiling.sweeps(); ++sweep) {
    std::vector<int> queries(n, 0);
    for (std::int64_t b = 0; b < tiling.blocks(sweep, asked); ++b) {
      const QueryBlock block = tiling.block(sweep, b, asked);
      ASSERT_EQ(block.sweep, sweep);
      ASSERT_GE(block.queries.count, 1);
      ASSERT_LE(block.queries.count, kTileQueries);
      for (std::int64_t u = 0; u < block.queries.count; ++u) ++queries.at(block.queries.at(u));
      TileCursor cursor(tiling, block);
      Tile tile;
      while (cursor.next(tile)) {
        expect_sane(block, tile);
        if (testing::Test::HasFatalFailure()) return;
        for (std::int64_t u = 0; u < block.queries.count; ++u)
          for (std::int64_t t = 0; t < tile.keys.count; ++t)
            if (visible(tile, u, t)) ++had.at(block.queries.at(u) * n + tile.keys.at(t));
      }
      ASSERT_FALSE(cursor.next(tile)) << "a cursor at its end goes on";
    }
    for (std::int64_t i = 0; i < n; ++i)
      ASSERT_EQ(queries[i], i >= asked.begin && i < asked.end ? 1 : 0) << "query " << i << " in sweep " << sweep;
  }
}

void expect_tiles_are_the_definition(const Pattern& pattern, std::int64_t n) {
  std::vector<int> had;
  count_pairs_of_tiles(pattern, n, {0, n}, had);
  if (testing::Test::HasFatalFailure()) return;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      ASSERT_EQ(had[i * n + j], attends(pattern, i, j) ? 1 : 0)
          << to_string(pattern) << ", n " << n << ", query " << i << ", key " << j;
}

TEST(Tiles, HoldEveryPairOfAwkwardPatternsExactlyOnce) {
  for (const std::string& text : awkward_patterns())
    for (const std::int64_t n : {1, 2, 63, 64, 65, 257}) expect_tiles_are_the_definition(parse_pattern(text), n);
}

TEST(Tiles, HoldEveryPairOfRandomPatternsExactlyOnce) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_length();
    const Pattern pattern = random_pattern(n);
    RC_LOG() << to_string(pattern) << " n " << n << "\n";
    std::vector<int> had;
    count_pairs_of_tiles(pattern, n, {0, n}, had);
    RC_ASSERT(!testing::Test::HasFatalFailure());
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        if (had[i * n + j] != (attends(pattern, i, j) ? 1 : 0))
          RC_FAIL("query " + std::to_string(i) + " key " + std::to_string(j));
  }));
}

TEST(Tiles, OfSomeQueriesHoldThemAloneAndWhatTheyRead) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t n = random_length(), first = random_number(0, n - 1), end = random_number(first + 1, n);
    const Pattern pattern = random_pattern(n);
    RC_LOG() << to_string(pattern) << " n " << n << " queries [" << first << ", " << end << ")\n";
    std::vector<int> had;
    count_pairs_of_tiles(pattern, n, {first, end}, had);
    RC_ASSERT(!testing::Test::HasFatalFailure());
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        if (had[i * n + j] != (i >= first && i < end && attends(pattern, i, j) ? 1 : 0))
          RC_FAIL("query " + std::to_string(i) + " key " + std::to_string(j));
  }));
}

TEST(Tiles, OfAClassAreNeighboursInTheOrderOfClasses) {
  for (const std::int64_t n : {1, 64, 300, 1000})
    for (const Interval asked : {Interval{0, n}, Interval{n / 3, n}, Interval{n / 2, n / 2 + 1}})
      for (const std::int64_t step : {2, 3, 70}) {
        const Tiling tiling(parse_pattern("column(" + std::to_string(step) + ")"), n);
        if (tiling.step(0) == 0) continue;  // no column where a step leaves the sequence
        std::int64_t next = 0;
        for (std::int64_t r = 0; r < step; ++r) {
          const Interval blocks = tiling.class_blocks(0, r, asked);
          EXPECT_EQ(blocks.begin, next);
          for (next = blocks.begin; next < blocks.end; ++next)
            EXPECT_EQ(tiling.block(0, next, asked).queries.begin % step, r);
        }
        EXPECT_EQ(next, tiling.blocks(0, asked));
      }
  EXPECT_EQ(Tiling(parse_pattern("strided(16)"), 300).step(0), 0);
  EXPECT_EQ(Tiling(parse_pattern("strided(16)"), 300).step(1), 16);
}

TEST(Tiles, OfAnEmptyKeySetAreNone) {
  const Tiling tiling(parse_pattern("previous_row(100)"), 80);
  EXPECT_EQ(tiling.sweeps(), 1);
  EXPECT_EQ(tiling.blocks(0), 2);
  Tile tile;
  EXPECT_FALSE(TileCursor(tiling, tiling.block(0, 0)).next(tile));
}

TEST(Tiles, AreGroupedBySweepsAsKernelsLikeThem) {
  EXPECT_EQ(Tiling(parse_pattern("column(16)"), 256).sweeps(), 1);
  EXPECT_EQ(Tiling(parse_pattern("strided(16)"), 256).sweeps(), 2);
  EXPECT_EQ(Tiling(parse_pattern("fixed(16,4)"), 256).sweeps(), 1);
  EXPECT_EQ(Tiling(parse_pattern("column(16) | digits(16,2)"), 256).sweeps(), 1);
  EXPECT_EQ(Tiling(parse_pattern("column(300)"), 256).sweeps(), 1);
  EXPECT_EQ(Tiling(parse_pattern("column(1)"), 256).block(0, 1).queries.begin, 64);
}

// Masks cost time: inside dense, below a column's diagonal and before a row's summaries there are none.
TEST(Tiles, AreWholeWhereverTheClosedFormShowsIt) {
  struct Case {
    const char* text;
    std::int64_t n;
    double most_masked;  // share of tiles
  };
  for (const Case& c : {Case{"dense", 8192, 0.02}, Case{"window(2048)", 8192, 0.08}, Case{"column(4)", 16384, 0.04},
                        Case{"fixed(128,32)", 12288, 0.08}, Case{"strided(16)", 65536, 0.15}}) {
    const Tiling tiling(parse_pattern(c.text), c.n);
    std::int64_t tiles = 0, masked = 0;
    for (int sweep = 0; sweep < tiling.sweeps(); ++sweep)
      for (std::int64_t b = 0; b < tiling.blocks(sweep); ++b) {
        TileCursor cursor(tiling, tiling.block(sweep, b));
        for (Tile tile; cursor.next(tile); ++tiles) masked += !tile.whole;
      }
    EXPECT_LE(static_cast<double>(masked), c.most_masked * static_cast<double>(tiles))
        << c.text << " " << masked << " of " << tiles;
  }
}

// A grid that all query blocks share: a tile never crosses it.
TEST(Tiles, LieOnOneGridForAllQueryBlocks) {
  const std::int64_t n = 1500;
  for (const char* text : {"dense", "local(100)", "window(33) | prefix(70)", "row(90)", "column(3)"}) {
    const Tiling tiling(parse_pattern(text), n);
    const std::int64_t step = tiling.block(0, 0).queries.step == kTileQueries ? 1 : tiling.block(0, 0).queries.step;
    for (std::int64_t b = 0; b < tiling.blocks(0); ++b) {
      TileCursor cursor(tiling, tiling.block(0, b));
      for (Tile tile; cursor.next(tile);)
        EXPECT_EQ(tile.keys.at(0) / step / kTileKeys, tile.keys.at(tile.keys.count - 1) / step / kTileKeys) << text;
    }
  }
  // A summary's tiles start at the same cells whichever block reads them.
  for (const char* text : {"summary(40,8)", "summary(40,3)", "summary(200,130)", "fixed(50,20)"}) {
    const Tiling tiling(parse_pattern(text), n);
    std::set<std::int64_t> starts;
    TileCursor last(tiling, tiling.block(0, tiling.blocks(0) - 1));
    for (Tile tile; last.next(tile);) starts.insert(tile.keys.begin);
    TileCursor middle(tiling, tiling.block(0, tiling.blocks(0) / 2));
    std::int64_t shared = 0, tiles = 0;
    for (Tile tile; middle.next(tile); ++tiles) shared += starts.count(tile.keys.begin) != 0;
    EXPECT_GE(shared, tiles - 2) << text;  // all but those of the block's own row
  }
}

TEST(Tiles, OfAMillionPositionsHoldAsManyPairsAsTheCount) {
  const std::int64_t n = std::int64_t{1} << 20;
  for (const char* text : {"strided(1024)", "fixed(1024,8)", "window(300) | column(2000) | prefix(9)"}) {
    const Pattern pattern = parse_pattern(text);
    const Tiling tiling(pattern, n);
    std::int64_t pairs = 0;
    for (int sweep = 0; sweep < tiling.sweeps(); ++sweep)
      for (std::int64_t b = 0; b < tiling.blocks(sweep); ++b) {
        const QueryBlock block = tiling.block(sweep, b);
        TileCursor cursor(tiling, block);
        for (Tile tile; cursor.next(tile);) {
          if (tile.whole) pairs += block.queries.count * tile.keys.count;
          for (std::int64_t t = 0; t < tile.keys.count && !tile.whole; ++t)
            pairs += __builtin_popcountll(tile.visible[t]);
        }
      }
    EXPECT_EQ(pairs, count_pairs(pattern, n)) << text;
  }
}

// What a sweep reads by distances alone is what its tiles hold.
TEST(Tiles, OfASweepWithDistancesFollowThem) {
  const std::int64_t n = 300;
  for (const char* text : {"column(7)", "column(299)", "strided(16)", "window(20) | column(7)", "digits(5,2)"}) {
    const Tiling tiling(parse_pattern(text), n);
    const int sweep = tiling.sweeps() - 1;
    const auto distances = tiling.distances(sweep);
    ASSERT_TRUE(distances) << text;
    std::set<std::pair<std::int64_t, std::int64_t>> wanted, got;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t d = distances->nearest; d < distances->end && d * distances->step <= i; ++d)
        wanted.insert({i, i - d * distances->step});
    for (std::int64_t b = 0; b < tiling.blocks(sweep); ++b) {
      const QueryBlock block = tiling.block(sweep, b);
      TileCursor cursor(tiling, block);
      for (Tile tile; cursor.next(tile);)
        for (std::int64_t t = 0; t < tile.keys.count; ++t)
          for (std::int64_t u = 0; u < block.queries.count; ++u)
            if (tile.whole || (tile.visible[t] >> u & 1) != 0) got.insert({block.queries.at(u), tile.keys.at(t)});
    }
    EXPECT_EQ(got, wanted) << text;
  }
  for (const char* text : {"dense", "window(20)", "fixed(16,4)", "column(7) | prefix(9)", "row(20) | column(6)"}) {
    const Tiling tiling(parse_pattern(text), n);
    for (int sweep = 0; sweep < tiling.sweeps(); ++sweep) EXPECT_FALSE(tiling.distances(sweep)) << text;
  }
  EXPECT_FALSE(Tiling(parse_pattern("column(5) | column(3)"), n).distances(1));
}

TEST(Tiles, RefuseAPatternThatCannotBe) {
  EXPECT_THROW(Tiling({}, 10), Error);
  EXPECT_THROW(Tiling({{{Primitive::window, 0}}}, 10), Error);
  EXPECT_THROW(Tiling({{{Primitive::summary, 4, 5}}}, 10), Error);
}

TEST(Tiles, ReachAsFarAsTheirContiguousPartsAndNoFurther) {
  for (const auto& [text, reach] : {std::pair("window(7)", 7), std::pair("row(6)", 6), std::pair("previous_row(5)", 10),
                                    std::pair("window(3) | row(4) | previous_row(6)", 12), std::pair("prefix(2)", 40)})
    EXPECT_EQ(Tiling(parse_pattern(text), 40).reach(), reach) << text;
}

}  // namespace
}  // namespace longstride
