// These tests cut pieces of the store into what goes whole and what goes as a list, and look at where the parts of a
// message lie.
#include "train/parcel.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "parallel/world.h"

namespace longstride {
namespace {

ModelConfig model_of(std::int64_t width, std::int64_t buckets) {
  ModelConfig model;
  model.width = width, model.heads = 1, model.layers = 2, model.context = 64, model.positions = {64};
  model.attention = read_attention("dense"), model.hash_orders = {2, 3}, model.hash_buckets = buckets;
  model.convolution = 5;  // behind the tables
  return model;
}

// The parts of a message in their order: first byte, and the byte behind the last.
std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> parts_of(const Parcel& parcel, std::vector<std::byte>& message) {
  std::vector<std::pair<std::ptrdiff_t, std::ptrdiff_t>> parts;
  const auto add = [&](const auto& array) {
    const std::ptrdiff_t begin = reinterpret_cast<std::byte*>(array.data) - message.data();
    if (array) parts.emplace_back(begin, begin + bytes_of(array));
  };
  if (parcel.lists()) add(parcel.list_in(message.data()).count);
  add(parcel.before_in(message.data()));
  add(parcel.behind_in(message.data()));
  if (parcel.lists()) add(parcel.list_in(message.data()).rows), add(parcel.list_in(message.data()).values);
  return parts;
}

TEST(Parcel, HasAllOfItsPieceInPartsThatDoNotTouch) {
  for (const std::int64_t width : {16, 20, 64}) {
    for (const std::int64_t buckets : {64, 1008}) {
      for (const int P : {2, 4, 16}) {
        const Shards shards(ParameterTable(model_of(width, buckets)), P);
        for (const std::int64_t tokens : {1, 30, 1007, 1008, 100'000}) {
          for (int s = 0; s < shards.segments(); ++s) {
            for (int p = 0; p < P; ++p) {
              const Parcel parcel = parcel_of_gradient(shards, s, p, tokens);
              const ElementRange needed = shards.needed(s, p);
              EXPECT_EQ(parcel.before.begin, needed.begin);
              EXPECT_EQ(parcel.before.end, parcel.rows.begin);
              EXPECT_EQ(parcel.rows.end, parcel.behind.begin);
              EXPECT_EQ(parcel.behind.end, needed.end);
              EXPECT_EQ(parcel.lists(), tokens < buckets && shards.rows(s, p).size() > 0);
              EXPECT_EQ(parcel.rows.size(), parcel.lists() ? shards.rows(s, p).size() : 0);
              EXPECT_EQ(parcel.most, parcel.lists() ? shards.most_rows(parcel.rows, tokens) : 0);
              std::vector<std::byte> message(static_cast<std::size_t>(parcel.most_bytes()));
              std::ptrdiff_t end = 0;
              for (const auto& [from, to] : parts_of(parcel, message)) {
                EXPECT_GE(from, end);
                EXPECT_LT(from, end + 64);
                end = to;
              }
              EXPECT_EQ(end, parcel.most_bytes());
            }
          }
        }
      }
    }
  }
}

// What is sent ends with the last row that is there.
TEST(Parcel, IsAsLongAsItsList) {
  const Shards shards(ParameterTable(model_of(16, 1008)), 2);
  const Parcel parcel = parcel_of_rows(shards, 1, 30);
  ASSERT_TRUE(parcel.lists());
  EXPECT_EQ(parcel.whole(), 0);
  std::vector<std::byte> message(static_cast<std::size_t>(parcel.most_bytes()));
  const std::unique_ptr<Backend> backend = make_backend(Device::cpu);
  for (const std::int64_t rows : {std::int64_t{0}, std::int64_t{1}, parcel.most}) {
    const RowList list = parcel.list_in(message.data());
    list.count[0] = rows;
    const Carrier::Piece sent = parcel.sent(*backend, world_of_one(), message.data());
    EXPECT_EQ(sent.data, message.data());
    EXPECT_EQ(static_cast<std::byte*>(sent.data) + sent.bytes,
              reinterpret_cast<std::byte*>(list.values.data + rows * 16));
  }
}

// Of tables with a gap between them, and of those that are not there, nothing goes as a list.
TEST(Parcel, OfTablesApartGoesWhole) {
  const auto lists = [](const ModelConfig& model) {
    const Shards shards(ParameterTable(model), 2);
    return parcel_of_rows(shards, 0, 1).lists() || parcel_of_gradient(shards, shards.segments() - 1, 0, 1).lists();
  };
  EXPECT_TRUE(lists(model_of(20, 1008)));
  EXPECT_FALSE(lists(model_of(20, 1007)));
  ModelConfig none = model_of(20, 1008);
  none.hash_orders = {};
  EXPECT_FALSE(lists(none));
}

// A message whose end is open has its bound, beyond which all goes whole.
TEST(Parcel, ThatMightBeTooLongToBeOpenGoesWhole) {
  const Shards shards(ParameterTable(model_of(1024, 2'000'000)), 2);
  EXPECT_TRUE(parcel_of_rows(shards, 0, 100'000).lists());
  const Parcel large = parcel_of_rows(shards, 0, 1'000'000);
  EXPECT_FALSE(large.lists());
  EXPECT_EQ(large.most_bytes(), shards.rows(shards.segments() - 1, 0).size() * 4);
}

}  // namespace
}  // namespace longstride
