// Which work items an attention is made of: see attention_schedule.h.
#include "cpu/attention_schedule.h"

namespace longstride::cpu {

namespace {

constexpr std::int64_t kFewHeads = 8;
constexpr std::int64_t kLongSequence = std::int64_t{1} << 16;  // sums of several such heads are too many
constexpr std::int64_t kKeysAtOnce = 256;                      // of Work::add_pieces

// Neighbouring heads whose classes are computed by one item.
std::int64_t heads_of_classes(const AttentionShape& shape, std::int64_t step, bool lanes) {
  return std::clamp<std::int64_t>((lanes ? kLaneRows : kGatheredRows) / shape.class_rows(step), 1, shape.H);
}

// The most such heads of any sweep.
std::int64_t most_heads_of_classes(const AttentionShape& shape) {
  std::int64_t most = 1;
  for (std::int64_t h = 0; h < shape.H; ++h)
    for (int sweep = 0; shape.has(h, sweep); ++sweep)
      if (const std::int64_t step = shape.class_step(h, sweep); step > 0)
        most = std::max(most, heads_of_classes(shape, step, lane_classes(shape, h, sweep).has_value()));
  return most;
}

// Heads [group, end) of those that gather classes in this sweep, or compute them in lanes.
void add_classes(const AttentionShape& shape, std::int64_t group, std::int64_t end, int sweep, Schedule& schedule) {
  const auto step_of = [&](std::int64_t head) { return shape.has(head, sweep) ? shape.class_step(head, sweep) : 0; };
  Phase phase(true);
  for (std::int64_t head = group, heads = 1; head < end; head += heads, heads = 1) {
    const std::int64_t step = step_of(head);
    if (step == 0) continue;
    const std::optional<LaneClasses> lanes = lane_classes(shape, head, sweep);
    const std::int64_t most = heads_of_classes(shape, step, lanes.has_value());
    const auto alike = [&](std::int64_t next) {
      return next < end && next % shape.H != 0 && step_of(next) == step &&
             lane_classes(shape, next, sweep).has_value() == lanes.has_value();
    };
    while (heads < most && alike(head + heads)) ++heads;
    if (lanes)
      schedule.lane_rows = std::max<std::int64_t>(schedule.lane_rows, lanes->rows());
    else
      schedule.gathered_rows = std::max(schedule.gathered_rows, heads * shape.class_rows(step));
    phase.add({lanes ? Work::lanes : Work::gathered, sweep, group, head, heads, 0, step}, kClassesAtOnce);
  }
  if (phase.items() > 0) schedule.phases.push_back(std::move(phase));
}

// True for a sweep whose classes are neither gathered nor in lanes.
bool by_block(const AttentionShape& shape, std::int64_t head, int sweep) {
  return shape.has(head, sweep) && shape.class_step(head, sweep) == 0;
}

// True for a sweep whose sums of keys move with the queries.
bool banded(const AttentionShape& shape, const Tiling& tiling, int sweep, std::int64_t pieces) {
  return sweep == 0 && tiling.reach() <= shape.T / (2 * pieces) && band_rows(tiling) < shape.T;
}

// One head, a piece a thread, and then what the pieces share.
void add_pieces(const AttentionShape& shape, const WorkItem& of_head, Schedule& schedule) {
  const std::int64_t pieces = schedule.pieces, blocks = of_head.end;
  Phase phase(true), shared(true);
  WorkItem item = of_head;
  for (item.piece = 0; item.piece < pieces; ++item.piece) {
    item.begin = blocks * item.piece / pieces, item.end = blocks * (item.piece + 1) / pieces;
    if (item.kind == Work::all_keys) {
      item.begin = item.piece * kBlocksInStep, item.end = blocks;
      item.stride = pieces * kBlocksInStep;
    } else if (item.piece > 0) {
      WorkItem join = item;
      join.kind = Work::join_bands, join.begin = item.begin * kTileQueries, join.end = join.begin + 1;
      shared.add(join, 1);
    }
    phase.add(item, std::max<std::int64_t>(1, item.end - item.begin));
  }
  if (of_head.kind == Work::all_keys) {
    WorkItem add = of_head;
    add.kind = Work::add_pieces, add.end = shape.T, add.piece = 0;
    shared.add(add, kKeysAtOnce);
  }
  schedule.phases.push_back(std::move(phase));
  schedule.phases.push_back(std::move(shared));
}

// Heads [group, end) of those that are taken block by block in this sweep.
void add_backward_blocks(const AttentionShape& shape, std::int64_t group, std::int64_t end, int sweep,
                         Schedule& schedule) {
  Phase phase(false);
  for (std::int64_t head = group; head < end; ++head) {
    if (!by_block(shape, head, sweep)) continue;
    const Tiling& tiling = shape.tiling(head);
    const bool band = banded(shape, tiling, sweep, schedule.pieces);
    schedule.sum_rows = std::max(schedule.sum_rows, band ? band_rows(tiling) : shape.T);
    if (band && schedule.pieces > 1) schedule.edge_rows = std::max(schedule.edge_rows, tiling.reach());
    const WorkItem item{band ? Work::band : Work::all_keys, sweep, group, head, 1, 0, tiling.blocks(sweep)};
    if (schedule.pieces > 1)
      add_pieces(shape, item, schedule);
    else
      phase.add(item, item.end);
  }
  if (phase.items() > 0) schedule.phases.push_back(std::move(phase));
}

}  // namespace

AttentionShape::AttentionShape(const Attention& op)
    : B(op.B),
      T(op.T),
      H(op.H),
      Dq(op.q.D),
      Dv(op.v.D),
      queries{op.first, op.first + op.q.T},
      type(op.q.type),
      scale(op.scale),
      tilings(op.tilings, op.tilings + op.H) {
  for (const Tiling* of_head : tilings) sweeps = std::max(sweeps, of_head->sweeps());
}

std::int64_t AttentionShape::class_step(std::int64_t head, int sweep) const {
  const std::int64_t step = tiling(head).step(sweep);
  return step > 0 && class_rows(step) <= kClassRows ? step : 0;
}

ResidueClass::ResidueClass(const AttentionShape& shape, std::int64_t head, int sweep, std::int64_t which)
    : step(shape.tiling(head).step(sweep)), r(which), blocks(shape.tiling(head).class_blocks(sweep, r, shape.queries)) {
  const auto before = [&](std::int64_t position) { return position / step + (r < position % step); };
  first = before(shape.queries.begin);
  keys = before(shape.queries.end);
}

std::optional<LaneClasses> lane_classes(const AttentionShape& shape, std::int64_t head, int sweep) {
  if (!shape.whole() || !shape.last(head, sweep)) return std::nullopt;
  const std::optional<Tiling::Distances> distances = shape.tiling(head).distances(sweep);
  if (!distances || shape.class_rows(distances->step) > kMostLaneRows) return std::nullopt;
  return LaneClasses{shape.T, distances->step, 0, distances->nearest, distances->end};
}

void Phase::add(const WorkItem& all, std::int64_t width, bool late_first) {
  // Also of nothing there is one: a piece without blocks still clears its sums.
  const std::int64_t items = std::max<std::int64_t>(1, (all.end - all.begin + width - 1) / width);
  strips_.push_back({all, width, late_first, items_, items});
  items_ += items;
}

WorkItem Phase::item(std::int64_t i) const {
  const auto after = std::upper_bound(strips_.begin(), strips_.end(), i,
                                      [](std::int64_t at, const Strip& strip) { return at < strip.first_item; });
  const Strip& strip = *(after - 1);
  const std::int64_t k = strip.late_first ? strip.items - 1 - (i - strip.first_item) : i - strip.first_item;
  WorkItem item = strip.all;
  item.begin = strip.all.begin + k * strip.width;
  item.end = std::min(item.begin + strip.width, strip.all.end);
  return item;
}

// Heads go on together between sweeps as many as give blocks enough for the threads, and as classes are gathered for.
Schedule forward_schedule(const AttentionShape& shape, int threads) {
  Schedule schedule;
  const std::int64_t heads = shape.heads(), rows = 8 * threads * kTileQueries;
  schedule.together = heads;
  if (shape.sweeps > 1)
    schedule.together =
        std::min(heads, std::max(most_heads_of_classes(shape), (rows + shape.query_rows() - 1) / shape.query_rows()));
  for (std::int64_t group = 0; group < heads; group += schedule.together)
    for (int sweep = 0; sweep < shape.sweeps; ++sweep) {
      const std::int64_t end = std::min(group + schedule.together, heads);
      Phase phase(false);
      for (std::int64_t head = group; head < end; ++head)
        if (by_block(shape, head, sweep))
          phase.add({Work::blocks, sweep, group, head, 1, 0, shape.tiling(head).blocks(sweep, shape.queries)},
                    kBlocksInStep, true);
      if (phase.items() > 0) schedule.phases.push_back(std::move(phase));
      add_classes(shape, group, end, sweep, schedule);
    }
  return schedule;
}

std::int64_t band_rows(const Tiling& tiling) {
  return ((tiling.reach() + kTileKeys - 1) / kTileKeys + kBlocksInStep + 1) * kTileKeys;
}

Schedule backward_schedule(const AttentionShape& shape, int threads) {
  Schedule schedule;
  const std::int64_t heads = shape.heads();
  schedule.pieces = (heads < kFewHeads && heads % 2 == 1) || shape.T >= kLongSequence ? kMostPieces : 1;
  schedule.together = heads;
  if (shape.sweeps > 1)
    schedule.together =
        std::min(heads, std::max<std::int64_t>(schedule.pieces > 1 ? 1 : threads, most_heads_of_classes(shape)));
  for (std::int64_t group = 0; group < heads; group += schedule.together)
    for (int sweep = 0; sweep < shape.sweeps; ++sweep) {
      const std::int64_t end = std::min(group + schedule.together, heads);
      add_backward_blocks(shape, group, end, sweep, schedule);
      add_classes(shape, group, end, sweep, schedule);
    }
  return schedule;
}

}  // namespace longstride::cpu
