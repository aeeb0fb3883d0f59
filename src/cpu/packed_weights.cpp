// This knows which packed weights are still those that were packed.
#include "cpu/packed_weights.h"

#include <algorithm>
#include <iterator>

namespace longstride::cpu {

const void* PackedWeights::Copy::of(const Matrix& w, const RowProduct& product, Workspace& workspace) {
  if (state_ == State::kept) return memory_;
  if (state_ == State::written) {
    state_ = State::used_once;
    return product.pack(w, workspace);
  }
  if (memory_ == nullptr) memory_ = allocate_aligned("cpu", bytes_);
  product.pack(w, memory_, workspace.take(product.widened_bytes()));
  state_ = State::kept;
  return memory_;
}

std::shared_ptr<PackedWeights::Copy> PackedWeights::copy_of(const Matrix& w, const RowProduct& product) {
  const auto* begin = static_cast<const char*>(w.data);
  const char* end = begin + bytes_of(w);
  end_ = std::max(end_, end);
  std::weak_ptr<Copy>& kept = copies_[{begin, end, product.order()}];
  std::shared_ptr<Copy> copy = kept.lock();
  if (!copy) kept = copy = std::make_shared<Copy>(product.packed_bytes());
  return copy;
}

void PackedWeights::written(const void* memory, std::int64_t bytes) {
  const auto* begin = static_cast<const char*>(memory);
  if (bytes <= 0 || copies_.empty() || begin >= end_) return;
  const char* end = begin + bytes;
  for (auto at = copies_.begin(); at != copies_.end() && std::get<0>(at->first) < end;) {
    const std::shared_ptr<Copy> copy = at->second.lock();
    if (copy && std::get<1>(at->first) > begin) copy->state_ = Copy::State::written;
    at = copy ? std::next(at) : copies_.erase(at);
  }
}

}  // namespace longstride::cpu
