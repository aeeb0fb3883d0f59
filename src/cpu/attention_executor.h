// Walks a schedule, forward or backward: phases one after the other, the items of a phase by all threads. Each item is
// told what its thread does next, or likely does, so that it can ask for those rows meanwhile.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "cpu/attention.h"
#include "cpu/attention_operands.h"
#include "cpu/attention_schedule.h"
#include "cpu/class_lanes.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

namespace longstride::cpu {

// Calls run(item, next or nullptr, thread) for every item.
template <class Run>
void execute(const Schedule& schedule, int threads, const Run& run) {
  for (const Phase& phase : schedule.phases) {
    std::atomic<std::int64_t> taken{0};
#pragma omp parallel num_threads(std::min(threads, team())) if (phase.items() > 1)
    {
      const int thread = omp_get_thread_num();
      const std::int64_t team = omp_get_num_threads();
      const auto take = [&](std::int64_t before) {
        if (!phase.in_turn()) return taken.fetch_add(1, std::memory_order_relaxed);
        return before < 0 ? thread : before + team;
      };
      for (std::int64_t i = take(-1); i < phase.items(); i = take(i)) {
        std::optional<WorkItem> next;
        if (i + team < phase.items()) next = phase.item(i + team);
        run(phase.item(i), next ? &*next : nullptr, thread);
      }
    }
  }
}

// A run of positions: those of blocks in step, from the first one's first query on.
struct BlockRows {
  std::int64_t first, step;
  BlockRows(std::int64_t begin, std::int64_t apart) : first(begin), step(apart) {}
  explicit BlockRows(const QueryBlock& block)
      : first(block.queries.begin), step(block.queries.run == 1 ? block.queries.step : 1) {}
  Prefetch::Rows of(const HeadRows& rows, std::int64_t bytes) const {
    return {rows.row(first), step * rows.row_bytes, bytes};
  }
};

// The classes of an item, gathered one after the other; meanwhile the next one's rows are asked for.
// compute(head h's operands as copied, its lse (positions), h, class): the class's queries of one head. The copy's lse
// is memory for it.
template <class Compute>
void run_gathered(const AttentionShape& shape, const WorkItem& item, const HeadOperands& first, const ClassCopy& copy,
                  Prefetch& prefetch, const Compute& compute) {
  bool last = true;  // of all heads' sweeps
  for (std::int64_t h = 0; h < item.heads; ++h) last = last && shape.last(item.head + h, item.sweep);
  for (std::int64_t r = item.begin; r < item.end; ++r) {
    const ResidueClass now(shape, item.head, item.sweep, r);
    if (now.first == now.keys) continue;  // none of the queries
    copy.gather(first, item.heads, now, item.sweep > 0);
    prefetch.clear(0);
    if (r + 1 < item.end) copy.prefetch(first, item.heads, ResidueClass(shape, item.head, item.sweep, r + 1), prefetch);
    for (std::int64_t h = 0; h < item.heads; ++h)
      compute(copy.head(h, item.heads, now), first.lse + h * shape.query_rows(), h, now);
    copy.scatter(first, item.heads, now, !last);
  }
}

// What both passes are made of.
struct PassBase {
  const AttentionShape& shape_;
  const Schedule& schedule_;
  const LaneKernels& lanes_;
  float* memory_;                // of each thread or piece, one after the other
  std::int64_t scratch_floats_;  // of one of them
  char* lows_;                   // lower halves of the partial sums of the heads that go on together

  // A piece of an item of lanes, whose head's rows these are.
  LaneWork lane_work(const WorkItem& item, std::int64_t piece, const HeadOperands& rows,
                     const LaneMemory& lanes) const {
    return {lane_piece(shape_, item, piece, lanes_.lanes),
            static_cast<int>(shape_.Dq),
            static_cast<int>(shape_.Dv),
            shape_.q_bytes(),
            shape_.v_bytes(),
            shape_.scale,
            item.sweep > 0,
            rows,
            lanes};
  }
};

template <class Op>
struct AttentionPass<Op>::State {
  AttentionShape shape;
  int threads;
  Schedule schedule;
  std::int64_t scratch_floats;  // of one thread, or piece
  std::int64_t low_bytes;       // of partial sums' lower halves
  std::int64_t all_floats() const { return std::max<std::int64_t>(threads, schedule.pieces) * scratch_floats; }
};

template <class Op>
AttentionPass<Op>::~AttentionPass() = default;
template <class Op>
AttentionPass<Op>::AttentionPass(AttentionPass&&) noexcept = default;
template <class Op>
AttentionPass<Op>& AttentionPass<Op>::operator=(AttentionPass&&) noexcept = default;

template <class Op>
std::int64_t AttentionPass<Op>::workspace_bytes() const {
  return Workspace::rounded(state_->all_floats() * 4 + state_->low_bytes);
}

// Pass: Forward or Backward.
template <class Pass, class State, class Op>
void run_pass(const State& state, const Op& op, float* memory) {
  char* lows = reinterpret_cast<char*>(memory + state.all_floats());
  const LaneKernels& lanes = lane_kernels(state.shape.type == DType::bfloat16);
  const Pass pass({state.shape, state.schedule, lanes, memory, state.scratch_floats, lows}, op);
  execute(state.schedule, state.threads,
          [&](const WorkItem& item, const WorkItem* next, int thread) { pass.run(item, next, thread); });
}

}  // namespace longstride::cpu
