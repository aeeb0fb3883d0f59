// Walks a schedule, forward or backward: phases one after the other, the items of a phase by all threads. Each item is
// told what its thread does next, or likely does, so that it can ask for those rows meanwhile.
#pragma once

#include <omp.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "cpu/attention_operands.h"
#include "cpu/attention_schedule.h"

namespace longstride::cpu {

// Calls run(item, next or nullptr, thread) for every item.
template <class Run>
void execute(const Schedule& schedule, int threads, const Run& run) {
  for (const Phase& phase : schedule.phases) {
    std::atomic<std::int64_t> taken{0};
#pragma omp parallel num_threads(threads) if (phase.items() > 1)
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

}  // namespace longstride::cpu
