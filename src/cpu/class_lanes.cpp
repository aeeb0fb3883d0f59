// Classes in lanes, block by block, and which rows are asked for meanwhile.
#include "cpu/class_lanes.h"

#include <cfloat>

#define LONGSTRIDE_KERNELS "cpu/class_lanes_kernels.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

namespace {

// How often a product with so many columns asks for rows.
int times_asked(const LaneKernels& kernels, int cols) {
  return kLaneBlock / kernels.product_rows * (cols / 4 + cols % 4);
}

}  // namespace

const LaneKernels& lane_kernels(bool bf16) { return LONGSTRIDE_CHOOSE(kLaneKernels)[bf16]; }

LaneClasses lane_piece(const AttentionShape& shape, const WorkItem& item, std::int64_t piece, int lanes) {
  LaneClasses classes = *lane_classes(shape, item.head + piece % item.heads, item.sweep);
  classes.r = item.begin + piece / item.heads * lanes;
  return classes;
}

// Asked for: the outputs of these queries, the next block's queries, and a part of the next keys and values.
void forward_lanes(const LaneKernels& kernels, const LaneWork& work, const LaneWork* next) {
  const HeadOperands& rows = work.rows;
  LanePrefetch& prefetch = *work.prefetch;
  kernels.forward_keys(work);
  for (int u = 0, end = kLaneBlock; u < work.classes.padded_rows(); u = end, end += kLaneBlock) {
    prefetch.clear();
    prefetch.add(rows.out, work.v_bytes, work.classes, u, end);
    if (work.continues) prefetch.add(rows.out_low, work.v_bytes, work.classes, u, end);
    prefetch.add(rows.q, work.q_bytes, work.classes, end, end + kLaneBlock);
    if (next != nullptr) {
      prefetch.add(next->rows.k, work.q_bytes, next->classes, u, end);
      prefetch.add(next->rows.v, work.v_bytes, next->classes, u, end);
      if (u == 0) prefetch.add(next->rows.q, work.q_bytes, next->classes, u, end);
    }
    prefetch.spread(times_asked(kernels, BlockKeys(work.classes, u).count) + times_asked(kernels, work.Dv));
    kernels.forward_queries(work, u);
  }
}

// Asked for: with queries their dq and the next block's rows; with sums over queries their dk and dv, and what is
// packed first afterwards.
void backward_lanes(const LaneKernels& kernels, const LaneWork& work, const LaneWork* next) {
  const HeadOperands& rows = work.rows;
  LanePrefetch& prefetch = *work.prefetch;
  kernels.backward_keys(work);
  for (int u = 0, end = kLaneBlock; u < work.classes.padded_rows(); u = end, end += kLaneBlock) {
    prefetch.clear();
    prefetch.add(rows.dq, work.q_bytes, work.classes, u, end);
    if (work.continues) prefetch.add(rows.dq_low, work.q_bytes, work.classes, u, end);
    prefetch.add(rows.q, work.q_bytes, work.classes, end, end + kLaneBlock);
    prefetch.add(rows.dout, work.v_bytes, work.classes, end, end + kLaneBlock);
    prefetch.add(rows.out, work.v_bytes, work.classes, end, end + kLaneBlock);
    prefetch.spread(2 * times_asked(kernels, BlockKeys(work.classes, u).count) + times_asked(kernels, work.Dq));
    kernels.backward_queries(work, u);
  }
  for (int u = 0, end = kLaneBlock; u < work.classes.padded_rows(); u = end, end += kLaneBlock) {
    prefetch.clear();
    prefetch.add(rows.dv, work.v_bytes, work.classes, u, end);
    if (work.continues) prefetch.add(rows.dv_low, work.v_bytes, work.classes, u, end);
    prefetch.add(rows.dk, work.q_bytes, work.classes, u, end);
    if (work.continues) prefetch.add(rows.dk_low, work.q_bytes, work.classes, u, end);
    if (next != nullptr) {
      prefetch.add(next->rows.k, work.q_bytes, next->classes, u, end);
      prefetch.add(next->rows.v, work.v_bytes, next->classes, u, end);
      if (u == 0) {
        prefetch.add(next->rows.q, work.q_bytes, next->classes, u, end);
        prefetch.add(next->rows.dout, work.v_bytes, next->classes, u, end);
        prefetch.add(next->rows.out, work.v_bytes, next->classes, u, end);
      }
    }
    prefetch.spread(times_asked(kernels, work.Dq) + times_asked(kernels, work.Dv));
    kernels.backward_key_sums(work, u);
  }
}

}  // namespace longstride::cpu
