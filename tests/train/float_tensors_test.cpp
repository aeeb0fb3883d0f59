// These tests find every tensor that a network reads in float32, once whole and once in the pieces of processes, which
// have those that move by rows in another way.
#include "train/float_tensors.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace longstride {
namespace {

ParameterTable table_of() {
  return ParameterTable(read_config({R"x({"model": {"context": 30, "layers": 2, "width": 48, "heads": 2,
      "positions": [5, 6], "attention": "fixed(5,1)", "hash_orders": [2], "hash_buckets": 301, "convolution": 3}})x"},
                                    {"test"}, {})
                            .model);
}

TEST(FloatTensors, AreAllButTheMatricesOfProducts) {
  const ParameterTable table = table_of();
  std::set<std::int64_t> products;
  for (const Parameter& entry : table.entries()) {
    for (const char* end : {"query.weight", "key.weight", "value.weight", "projection.weight", "expand.weight",
                            "contract.weight", "output.weight"})
      if (entry.name.ends_with(end)) products.insert(entry.offset);
  }
  EXPECT_EQ(products.size(), 2u * 6 + 1);
  const FloatTensors floats(table);
  for (const Parameter& entry : table.entries())
    EXPECT_EQ(floats.places().contains(entry.offset), !products.contains(entry.offset)) << entry.name;
}

TEST(FloatTensors, LieApartAndTheirNeighboursBesideThem) {
  const ParameterTable table = table_of();
  const FloatTensors floats(table);
  std::int64_t end = 0;
  for (const Parameter& entry : table.entries()) {
    const auto found = floats.places().find(entry.offset);
    if (found == floats.places().end()) continue;
    EXPECT_GE(found->second, end) << entry.name;
    end = found->second + entry.count;
  }
  EXPECT_EQ(end, floats.elements());
  EXPECT_LT(floats.elements(), table.store_elements());
  for (const BlockOffsets& block : table.blocks) {  // query, key and value are one bias
    const std::int64_t first = floats.places().at(block.qkv_bias);
    EXPECT_EQ(floats.places().at(block.qkv_bias + 48), first + 48);
    EXPECT_EQ(floats.places().at(block.qkv_bias + 96), first + 96);
  }
}

TEST(FloatTensors, AreMovedByOneProcessEach) {
  const ParameterTable table = table_of();
  const FloatTensors floats(table);
  for (const int processes : {1, 2, 8}) {
    const Shards shards(table, processes);
    std::map<std::int64_t, std::int64_t> place_of;  // of elements
    for (int p = 0; p < processes; ++p) {
      for (const FloatTensors::Piece& piece : floats.moved(shards, p)) {
        const ElementRange range = shards.moved(piece.segment, p);
        EXPECT_GE(piece.element, range.begin);
        EXPECT_LE(piece.element + piece.count, range.end);
        for (std::int64_t i = 0; i < piece.count; ++i)
          EXPECT_TRUE(place_of.emplace(piece.element + i, piece.place + i).second) << "twice";
      }
    }
    for (const Parameter& entry : table.entries()) {
      const auto found = floats.places().find(entry.offset);
      if (found == floats.places().end() || entry.by_rows) {
        for (std::int64_t e = entry.offset; e < entry.offset + entry.count; ++e)
          EXPECT_FALSE(place_of.contains(e)) << entry.name;
        continue;
      }
      for (const std::int64_t at : {std::int64_t{0}, entry.count - 1}) {
        ASSERT_TRUE(place_of.contains(entry.offset + at)) << entry.name;
        EXPECT_EQ(place_of[entry.offset + at], found->second + at) << entry.name;
      }
    }
  }
}

}  // namespace
}  // namespace longstride
