// Keys and values between a cache and rows: a thread a channel of a head, which goes through the head's list in its order,
// since a row may lie in several slots and the last one counts.
#include <utility>

#include "cuda/launch.h"
#include "cuda/operations.h"

namespace longstride::cuda {

namespace {

template <class A>
struct CopyChannel {
  static constexpr int kThreads = kWarp;
  bool recall;
  std::int64_t slots, width;  // of a head
  Rows<A> rows, store;        // (rows, H * width), (sequences * slots, width)
  const std::int32_t *sequence, *group;
  const std::int64_t* first_slot;
  const std::int64_t* row;
  const std::int32_t* slot;
  const std::int64_t* begin;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t h = block.index().y, d = std::int64_t{block.index().x} * kThreads + block.thread();
    if (d >= width) return;
    const std::int64_t first = *sequence * slots + first_slot[h], end = begin[group[h] + 1];
    for (std::int64_t e = begin[group[h]]; e < end; ++e) {
      A& of_rows = rows.at(row[e], h * width + d);
      A& of_store = store.at(first + slot[e], d);
      if (recall)
        of_rows = of_store;
      else
        of_store = of_rows;
    }
  }
};

template <class A>
void copy_channels(const Run& run, const CacheRows& op, const Matrix& rows, const Matrix& store) {
  using Kernel = CopyChannel<A>;
  launch(run.stream(),
         Kernel{op.recall, op.slots, store.cols, rows_of<A>(rows), rows_of<A>(store), op.sequence.data, op.group.data,
                op.first_slot.data, op.row.data, op.slot.data, op.begin.data},
         {divide_up(store.cols, Kernel::kThreads), op.H});
}

}  // namespace

void compute(const Run& run, const CacheRows& op) {
  for (const auto& [rows, store] : {std::pair(&op.k, &op.keys), std::pair(&op.v, &op.values)})
    rows->type == DType::float32 ? copy_channels<float>(run, op, *rows, *store)
                                 : copy_channels<bf16>(run, op, *rows, *store);
}

}  // namespace longstride::cuda
