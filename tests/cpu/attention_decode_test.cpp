// Decoding with a cache against the whole sequence by definition, position by position.
#include <gtest/gtest.h>

#include "cpu/attention_case.h"
#include "longstride/device.h"
#include "pattern/cache.h"

namespace longstride {
namespace {

// B sequences decoded side by side; head h has its own layout. Returns out (B, H, T, Dv).
std::vector<double> decode_all(const AttentionCase& c) {
  std::vector<CacheLayout> layouts;
  std::vector<std::int64_t> first_slot;
  std::vector<std::int32_t> group;
  std::int64_t slots = 0;
  for (std::int64_t h = 0; h < c.H; ++h) {
    layouts.emplace_back(c.patterns[h], c.T);
    first_slot.push_back(slots);
    group.push_back(static_cast<std::int32_t>(h));
    slots += layouts.back().slots();
  }
  const auto memory = [](std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), NAN); };
  std::vector<float> keys = memory(c.B * slots * c.Dq), values = memory(c.B * slots * c.Dv);
  std::vector<float> q = memory(c.B * c.H * c.Dq), k = q, v = memory(c.B * c.H * c.Dv), out = v;
  const auto rows = [&](std::vector<float>& x) {
    return matrix(x.data(), DType::float32, c.B, static_cast<std::int64_t>(x.size()) / c.B);
  };
  std::vector<double> result(static_cast<std::size_t>(c.B * c.H * c.T * c.Dv));
  Workspace workspace;
  for (std::int64_t i = 0; i < c.T; ++i) {
    std::vector<std::int32_t> write, read;
    std::vector<std::int64_t> write_begin{0}, read_begin{0};
    for (std::int64_t h = 0; h < c.H; ++h) {
      layouts[h].write_slots(i, write);
      layouts[h].read_slots(i, read);
      write_begin.push_back(static_cast<std::int64_t>(write.size()));
      read_begin.push_back(static_cast<std::int64_t>(read.size()));
    }
    const auto token = [&](std::vector<float>& to, const std::vector<double>& from, std::int64_t D) {
      for (std::int64_t bh = 0; bh < c.B * c.H; ++bh)
        for (std::int64_t d = 0; d < D; ++d) to[bh * D + d] = static_cast<float>(from[(bh * c.T + i) * D + d]);
    };
    token(q, c.q, c.Dq), token(k, c.k, c.Dq), token(v, c.v, c.Dv);
    decode_attention(
        {c.B, c.H, slots, static_cast<float>(c.scale), rows(q), rows(k), rows(v), rows(out), keys.data(), values.data(),
         first_slot.data(), c.H, group.data(), write.data(), write_begin.data(), read.data(), read_begin.data()},
        workspace);
    for (std::int64_t bh = 0; bh < c.B * c.H; ++bh)
      for (std::int64_t d = 0; d < c.Dv; ++d) result[(bh * c.T + i) * c.Dv + d] = out[bh * c.Dv + d];
  }
  return result;
}

const std::vector<std::string> kPatterns = {"dense",         "window(20)",  "column(9)",        "row(30)",
                                            "summary(16,2)", "strided(12)", "previous_row(30)", "fixed(16,4)",
                                            "prefix(50)",    "digits(3,2)"};

TEST(DecodeAttention, EqualsTheWholeSequenceAtEveryPosition) {
  for (const auto& [Dq, Dv] : {std::pair{16, 16}, std::pair{7, 33}, std::pair{64, 80}, std::pair{1, 1}}) {
    const AttentionCase c = attention_case(kPatterns, 2, 150, static_cast<std::int64_t>(kPatterns.size()), Dq, Dv);
    AttentionResult bound;
    const AttentionResult wanted = define_attention(c, DType::float32, bound);
    for (const Isa isa : usable_isas()) {
      const WithIsa forced(isa);
      const std::vector<double> got = decode_all(c);
      for (std::size_t e = 0; e < got.size(); ++e)
        ASSERT_LE(std::abs(got[e] - wanted.out[e]), bound.out[e] + 1e-30)
            << to_string(isa) << " Dq " << Dq << " Dv " << Dv << " head " << e / (150 * Dv) % kPatterns.size()
            << " position " << e / Dv % 150;
    }
  }
}

TEST(DecodeAttention, AnyNumberOfThreadsGivesTheSameBits) {
  const AttentionCase c = attention_case({"dense"}, 4, 333, 4, 64, 64);  // enough work for threads
  std::vector<std::vector<double>> results;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    results.push_back(decode_all(c));
  }
  set_threads(0);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace longstride
