// The weights of tables that move by rows on their way from the processes that moved them to all: the rows that a step
// may have moved, as lists, where it has few tokens (train/parcel.h), and otherwise all rows. Ours.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/buffer.h"
#include "parallel/carrier.h"
#include "train/parcel.h"
#include "train/shards.h"

namespace longstride {

class RowWeights {
 public:
  // all: the weights of all rows, as passes read them. own: of those that this process moves, where it moves them; may
  // be their place in `all`. gradient: of the same rows. tokens: of a step of all processes. `shards` and
  // `carrier` outlive it.
  RowWeights(Backend& backend, const Shards& shards, Carrier& carrier, std::int64_t tokens, Array<float> all,
             Array<float> own, Array<float> gradient);

  // Begins to bring rows to all: those with a gradient in this step, which alone may have moved, or every one.
  enum class Which : std::uint8_t { moved, every };
  Carrier::Ticket begin(Which which);
  void end();  // when that is finished: all weights are in their places

  // What it holds, as memory does.
  static std::int64_t bytes(const Shards& shards, std::int64_t tokens);

 private:
  Array<float> all_of(int p) const;

  Backend& backend_;
  const Shards& shards_;
  Carrier& carrier_;
  Array<float> all_, own_;
  std::vector<Parcel> parcels_;  // by process
  std::vector<void*> messages_;  // of those that list
  Buffer memory_;                // where they lie
  std::unique_ptr<Executable> pack_, put_;
  bool listed_ = false;  // what was begun
};

}  // namespace longstride
