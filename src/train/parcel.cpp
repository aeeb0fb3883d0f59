// This cuts a piece into what goes whole and what goes as a list, and lays out the message: the number of rows, what
// goes whole, the rows' numbers, and at the end, as long as it is, what the rows hold.
#include "train/parcel.h"

#include <cassert>
#include <cstddef>
#include <vector>

#include "ops/memory.h"

namespace longstride {

namespace {

constexpr std::int64_t kElement = 4, kNumber = 4, kCount = 8;  // bytes

template <class T>
Array<T> array_at(void* message, std::int64_t bytes, std::int64_t count) {
  return array(reinterpret_cast<T*>(static_cast<char*>(message) + bytes), count);
}

Parcel parcel_of(const Shards& shards, const ElementRange& piece, const ElementRange& rows, std::int64_t tokens) {
  const ElementRange nothing{piece.end, piece.end};
  const Parcel whole{piece, nothing, nothing};
  if (rows.size() == 0 || tokens >= shards.tables().rows) return whole;
  const Parcel listed{
      {piece.begin, rows.begin}, rows, {rows.end, piece.end}, shards.tables().row, shards.most_rows(rows, tokens)};
  return listed.most_bytes() <= Carrier::kMostOpenBytes ? listed : whole;
}

}  // namespace

std::int64_t Parcel::whole_at() const { return lists() ? aligned(kCount) : 0; }
std::int64_t Parcel::numbers_at() const { return whole_at() + aligned(whole() * kElement); }
std::int64_t Parcel::values_at() const { return numbers_at() + aligned(most * kNumber); }

std::int64_t Parcel::bytes(std::int64_t listed) const {
  return lists() ? values_at() + listed * row * kElement : whole() * kElement;
}

Array<float> Parcel::before_in(void* message) const { return array_at<float>(message, whole_at(), before.size()); }
Array<float> Parcel::behind_in(void* message) const {
  return array_at<float>(message, whole_at() + before.size() * kElement, behind.size());
}
RowList Parcel::list_in(void* message) const {
  return {array_at<std::int64_t>(message, 0, 1), array_at<std::int32_t>(message, numbers_at(), most),
          array_at<float>(message, values_at(), most * row)};
}

Carrier::Piece Parcel::sent(Backend& backend, const Carrier& carrier, void* message) const {
  if (!lists() || !carrier.takes_shorter()) return {message, most_bytes()};
  backend.wait();
  std::vector<std::byte> staging;
  const void* count = backend.readable(list_in(message).count.data, kCount, staging);
  const std::int64_t listed = *static_cast<const std::int64_t*>(count);
  assert(listed <= most);
  return {message, bytes(listed)};
}

Parcel parcel_of_gradient(const Shards& shards, int s, int p, std::int64_t tokens) {
  return parcel_of(shards, shards.needed(s, p), shards.rows(s, p), tokens);
}

Parcel parcel_of_rows(const Shards& shards, int p, std::int64_t tokens) {
  const ElementRange rows = shards.rows(shards.segments() - 1, p);
  return parcel_of(shards, rows, rows, tokens);
}

}  // namespace longstride
