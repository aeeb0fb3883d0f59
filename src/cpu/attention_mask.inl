// What of a masked tile need not be computed: whole chunks of lanes (queries) whose queries read none of a group of
// keys.

constexpr int kChunk = kLanes > 16 ? kLanes : 16;  // lanes of a masked tile that are skipped together

struct Lanes {
  int begin, end;
};

// Lanes, in whole chunks, of the queries that read a key of [t, t + count).
LONGSTRIDE_INLINE Lanes lanes_seen(const std::uint64_t* visible, int t, int count, int lanes) {
  if (visible == nullptr) return {0, lanes};
  std::uint64_t any = 0;
  for (int i = 0; i < count; ++i) any |= visible[t + i];
  if (any == 0) return {0, 0};
  const int end = (64 - std::countl_zero(any) + kChunk - 1) / kChunk * kChunk;
  return {std::countr_zero(any) / kChunk * kChunk, end < lanes ? end : lanes};
}

// Calls visit(first key, last key, first lane, lanes) for what chunks of lanes need of the keys [begin, end), in whole
// key groups; neighbouring chunks that need the same go together. begin: a multiple of kKeyGroup. seen: of each key
// group.
template <class Visit>
LONGSTRIDE_INLINE void each_chunk(const Lanes* seen, int begin, int end, int lanes, Visit visit) {
  int lane = 0, first = 0, last = 0;
  for (int u = 0;; u += kChunk) {
    int first_group = 0, last_group = 0;
    for (int t = begin; t < end && u < lanes; t += kKeyGroup) {
      const Lanes& group = seen[t / kKeyGroup];
      if (u < group.begin || u >= group.end) continue;
      if (last_group == 0) first_group = t;
      last_group = t + kKeyGroup < end ? t + kKeyGroup : end;
    }
    if (u < lanes && first_group == first && last_group == last) continue;
    if (last > first) visit(first, last, lane, (u < lanes ? u : lanes) - lane);
    if (u >= lanes) return;
    lane = u;
    first = first_group;
    last = last_group;
  }
}

template <class E>
LONGSTRIDE_INLINE F power_of_two(F x) {
  return sizeof(E) == 2 ? exp2_coarse(x) : exp2(x);
}
