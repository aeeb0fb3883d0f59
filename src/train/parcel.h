// How a piece of the store goes from one process to another in a step. Rows of tables that move by rows
// (model/parameters.h) have a gradient only where tokens use them, and move only there: where a step has fewer tokens
// than a table has rows, they go as a list of those, behind what goes whole. From shapes both sides know how much there
// can be; how much there is the message says itself. Ours.
#pragma once

#include <cstdint>

#include "longstride/config.h"
#include "ops/backend.h"
#include "ops/update.h"
#include "parallel/carrier.h"
#include "train/shards.h"

namespace longstride {

inline std::int64_t tokens_of_step(const ModelConfig& model, const TrainingConfig& training) {
  return training.accumulate * training.batch * model.context;
}

struct Parcel {
  ElementRange before, rows, behind;  // of the piece, in this order; rows: those that go as a list
  std::int64_t row = 0;               // elements of one
  std::int64_t most = 0;              // that the list has room for

  bool lists() const { return most > 0; }
  std::int64_t whole() const { return before.size() + behind.size(); }  // elements
  std::int64_t bytes(std::int64_t listed) const;                        // of a message with so many rows
  std::int64_t most_bytes() const { return bytes(most); }

  // What lies in a message.
  Array<float> before_in(void* message) const;
  Array<float> behind_in(void* message) const;
  RowList list_in(void* message) const;  // where it lists
  // What is sent of a message in the backend's memory: it ends with the last row that it lists, where the carrier takes
  // that.
  Carrier::Piece sent(Backend& backend, const Carrier& carrier, void* message) const;

 private:
  std::int64_t whole_at() const;  // bytes from the message's beginning
  std::int64_t numbers_at() const;
  std::int64_t values_at() const;
};

// The gradient of needed(s, p) on its way to process p; tokens: of one process's step.
Parcel parcel_of_gradient(const Shards& shards, int s, int p, std::int64_t tokens);
// The weights of process p's rows(last segment, p) on their way to all others; tokens: of all processes' step.
Parcel parcel_of_rows(const Shards& shards, int p, std::int64_t tokens);

}  // namespace longstride
