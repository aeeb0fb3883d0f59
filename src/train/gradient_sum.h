// From the gradients of micro-batches to the gradient of a step, over lanes and processes. A lane adds its
// micro-batches in order; lanes are added as the leaves of a fixed binary tree, ((0 + 1) + (2 + 3)) + ..., so that the
// sum depends on their number and not on how many processes share them. Ours.
//
// A process holds `lanes` of them that follow one another, a power of two: a whole subtree. What it has added goes to
// the elements' owners (train/shards.h) segment by segment, as the backward pass of its last micro-batch leaves them
// final, and is carried while the segments below are still computed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/buffer.h"
#include "parallel/carrier.h"
#include "train/parcel.h"
#include "train/shards.h"

namespace longstride {

class GradientSum {
 public:
  // carrier: of the backend's memory between the processes. `shards` and `carrier` outlive it. tokens: of this
  // process's step.
  GradientSum(Backend& backend, std::int64_t store_elements, int lanes, const Shards& shards, Carrier& carrier,
              std::int64_t tokens);

  // What passes add to: zero where a lane begins, which the owner sees to.
  const Buffer& lane() const { return lane_; }

  void end_lane(int lane);                       // any but this process's last: keeps it, and makes lane() zero
  void segment_final(int s);                     // of the last lane, in order
  void finish();                                 // all segments: mine() then holds the whole step's gradient
  double waited_s() const { return waited_s_; }  // for others, since the step began
  void begin_step() { waited_s_ = 0; }

  // The step's gradient of the elements needed(s, rank).
  Array<float> mine(int s) const { return of_lane(shards_.needed(s, carrier_.rank())); }

  static std::vector<std::pair<std::string, std::int64_t>> memory(std::int64_t store_elements, int lanes,
                                                                  const Shards& shards, int rank, std::int64_t tokens);

 private:
  void make_folds(int lanes);
  void make_pack();
  std::unique_ptr<Executable> make_tree(int s);
  void pack();
  void finish_segment(int s);
  Array<float> of_lane(ElementRange range) const { return lane_.floats().from(range.begin, range.size()); }
  Parcel parcel(int s, int p) const { return parcel_of_gradient(shards_, s, p, tokens_); }
  void* received(int s, int from) const;

  Backend& backend_;
  const Shards& shards_;
  Carrier& carrier_;
  const std::int64_t tokens_;
  Buffer lane_;
  std::vector<Buffer> kept_;                            // sums of 1, 2, 4, ... lanes before this one
  std::vector<std::unique_ptr<Executable>> end_lane_;   // by lane, without the last
  std::vector<std::unique_ptr<Executable>> last_lane_;  // by segment; none where there is one lane
  static constexpr int kInFlight = 2;                   // segments that are carried at the same time
  std::array<Buffer, kInFlight> received_;              // messages of the others, by rank
  std::vector<std::unique_ptr<Executable>> tree_;       // by segment: pieces of all processes
  struct Packed {
    int to;
    Parcel parcel;
    void* message;
  };
  Buffer messages_;             // with lists, to the others: of the last segment
  std::vector<Packed> packed_;  // what lies there, by rank
  std::unique_ptr<Executable> pack_;
  std::vector<Carrier::Ticket> tickets_;
  int begun_ = 0, finished_ = 0;
  double waited_s_ = 0;
};

}  // namespace longstride
