// Which tensors a network reads in float32 where its activations are bfloat16: vectors and embeddings; matrices of products
// are read rounded. Where several processes train, each then holds those alone whole in float32, and of the rest what it
// moves.
#pragma once

#include <cstdint>
#include <vector>

#include "model/parameters.h"
#include "model/weights.h"
#include "train/shards.h"

namespace longstride {

class FloatTensors {
 public:
  explicit FloatTensors(const ParameterTable& table);

  // Where each begins in a store of elements() that holds no other. Neighbours in the table are neighbours there.
  const FloatPlaces& places() const { return places_; }
  std::int64_t elements() const { return elements_; }

  struct Piece {
    std::int64_t element = 0, count = 0;  // of the table's store
    int segment = 0;                      // that it lies in
    std::int64_t place = 0;               // in the store of these tensors
  };
  // What process p moves of them but for shards.tables(), every element once over all processes.
  std::vector<Piece> moved(const Shards& shards, int p) const;

 private:
  struct Run {
    std::int64_t begin = 0, count = 0, place = 0;
  };
  std::vector<Run> runs_;  // of neighbours
  FloatPlaces places_;
  std::int64_t elements_ = 0;
};

}  // namespace longstride
