// Multiply-adds on registers alone: as many chains as hide an instruction's latency (8 cycles at most, 2 a cycle), and
// few enough for 16 registers. Each is rounds * kChains * kLanes (or 2 * kLanes, of pairs) multiply-adds.
constexpr int kChains = 12;

static float fused_rounds(std::int64_t rounds) {
  F chains[kChains];
  for (F& chain : chains) chain = broadcast(0.5f);
  const F factor = broadcast(0.999f), more = broadcast(0.001f);  // stays near 1
  for (std::int64_t r = 0; r < rounds; ++r) {
    for (F& chain : chains) chain = fma(chain, factor, more);
  }
  float all = 0;
  for (const F& chain : chains) all += sum(chain);
  return all;
}

static float paired_rounds(std::int64_t rounds) {
  F chains[kChains];
  for (F& chain : chains) chain = broadcast(0.5f);
  const P a = broadcast_pair(0x3f803f80u), b = broadcast_pair(0x00000000u);  // 1 and 0
  for (std::int64_t r = 0; r < rounds; ++r) {
    for (F& chain : chains) chain = dot_pairs(a, b, chain);
  }
  float all = 0;
  for (const F& chain : chains) all += sum(chain);
  return all;
}

constexpr PeakKernels kPeakKernels = {fused_rounds, paired_rounds, kChains, kLanes};
