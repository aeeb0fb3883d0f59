// These tests count what an engine keeps of keys and values.
#include "model/cache_shape.h"

#include "model/engine_case.h"

namespace longstride {
namespace {

TEST(CacheShape, KeepsWhatThePatternReadsAndNoMore) {
  const auto slots = [](const std::string& layout, std::int64_t n) {
    return CacheShape(model_with(layout, n), {1, n, DType::float32}).slots;
  };
  using Slots = std::vector<std::int64_t>;  // of a block's 3 heads
  for (const std::int64_t n : {100, 1000}) {
    EXPECT_EQ(slots("local(8)", n), Slots{3 * 9});
    EXPECT_EQ(slots("row(8)", n), Slots{3 * 8});
    EXPECT_EQ(slots("column(8)", n), Slots{3 * n});
    EXPECT_EQ(slots("summary(10,2)", n), Slots{3 * 2 * n / 10});
    EXPECT_EQ(slots("fixed(10,2)", n), Slots{3 * (10 + 2 * n / 10)});
    EXPECT_EQ(slots(R"j(["local(8)", "column(8)"])j", n), (Slots{3 * 9, 3 * n}));
  }
}

TEST(CacheShape, SharesSlotListsAmongHeadsAndBlocksOfOnePattern) {
  const auto patterns = [](const std::string& layout) {
    return CacheShape(model_with(layout), {1, 45, DType::float32}).patterns.size();
  };
  EXPECT_EQ(patterns("strided(8)"), 1u);
  EXPECT_EQ(patterns(R"j(["column(8)", "window(8)", "window(8)", "window(8)"])j"), 2u);
  EXPECT_EQ(patterns("fixed(8,2)"), 3u);  // each head has a sub-block of its own
}

TEST(CacheShape, ReadsAsManySlotsAStepAsThePatternHasKeys) {
  for (const std::string& layout : kLayouts) {
    const ModelConfig model = model_with(layout);
    const CacheShape cache(model, {1, model.context, DType::float32});
    for (std::int64_t i = 0; i < model.context; ++i) {
      std::int64_t reads = 0, writes = 0;  // over all patterns
      for (std::size_t p = 0; p < cache.patterns.size(); ++p) {
        std::vector<std::int32_t> read, write;
        cache.layouts[p].read_slots(i, read);
        cache.layouts[p].write_slots(i, write);
        EXPECT_EQ(static_cast<std::int64_t>(read.size()), count_keys(cache.patterns[p], i)) << layout << " at " << i;
        reads += static_cast<std::int64_t>(read.size());
        writes += static_cast<std::int64_t>(write.size());
      }
      EXPECT_LE(reads, cache.most_reads) << layout << " at " << i;
      EXPECT_LE(writes, cache.most_writes) << layout << " at " << i;
    }
  }
}

TEST(CacheShape, CountsTheBytesOfKeysAndValues) {
  // 3 blocks of 2 sequences, 3 heads and 9 slots: keys of 4 and values of 8 channels.
  EXPECT_EQ(CacheShape(model_with("local(8)", 100), {2, 100, DType::float32}).bytes, 3 * 2 * 3 * 9 * (4 + 8) * 4);
  EXPECT_EQ(CacheShape(model_with("local(8)", 100), {2, 100, DType::bfloat16}).bytes, 3 * 2 * 3 * 9 * (4 + 8) * 2);
}

}  // namespace
}  // namespace longstride
