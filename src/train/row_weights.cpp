// This packs the rows that moved, and puts those of all processes into their places.
#include "train/row_weights.h"

#include <utility>

#include "ops/memory.h"

namespace longstride {

std::int64_t RowWeights::bytes(const Shards& shards, std::int64_t tokens) {
  std::int64_t bytes = 0;
  for (int p = 0; p < shards.processes(); ++p) {
    const Parcel parcel = parcel_of_rows(shards, p, tokens);
    if (parcel.lists()) bytes += aligned(parcel.most_bytes());
  }
  return bytes;
}

RowWeights::RowWeights(Backend& backend, const Shards& shards, Carrier& carrier, std::int64_t tokens, Array<float> all,
                       Array<float> own, Array<float> gradient)
    : backend_(backend),
      shards_(shards),
      carrier_(carrier),
      all_(all),
      own_(own),
      memory_(backend, bytes(shards, tokens)) {
  backend.zero(memory_.data(), memory_.bytes());  // numbers of rows that are not there are sent too
  std::vector<Operation> put;
  auto* message = static_cast<char*>(memory_.data());
  for (int p = 0; p < carrier.size(); ++p) {
    const Parcel& parcel = parcels_.emplace_back(parcel_of_rows(shards, p, tokens));
    messages_.push_back(message);
    if (!parcel.lists()) continue;
    const bool mine = p == carrier.rank();
    if (mine) pack_ = compile_bound(backend, {PackRows{gradient, own, parcel.row, parcel.list_in(message)}});
    if (!mine || own.data != all_of(p).data) put.emplace_back(PutRows{all_of(p), parcel.row, parcel.list_in(message)});
    message += aligned(parcel.most_bytes());
  }
  if (!put.empty()) put_ = compile_bound(backend, std::move(put));
}

Array<float> RowWeights::all_of(int p) const {
  const ElementRange rows = shards_.rows(shards_.segments() - 1, p);
  return rows.size() > 0 ? all_.from(rows.begin - shards_.tables().range.begin, rows.size()) : Array<float>{};
}

Carrier::Ticket RowWeights::begin(Which which) {
  listed_ = which == Which::moved;
  if (listed_ && pack_) pack_->run();
  std::vector<Carrier::Piece> places;
  for (int p = 0; p < carrier_.size(); ++p) {
    const bool mine = p == carrier_.rank();
    const Parcel& parcel = parcels_[static_cast<std::size_t>(p)];
    const Array<float> whole = all_of(p);
    if (listed_ && parcel.lists()) {
      places.push_back({messages_[static_cast<std::size_t>(p)], parcel.most_bytes()});
    } else {
      if (mine) backend_.copy(whole.data, own_.data, whole.count * 4);
      places.push_back({whole.data, whole.count * 4});
    }
  }
  const auto me = static_cast<std::size_t>(carrier_.rank());
  if (listed_ && parcels_[me].lists()) places[me] = parcels_[me].sent(backend_, carrier_, messages_[me]);
  return carrier_.begin_share(places);
}

void RowWeights::end() {
  if (listed_ && put_) put_->run();
}

}  // namespace longstride
