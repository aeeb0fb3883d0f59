// Decoding with a cache against the whole sequence by definition, position by position.
#include <gtest/gtest.h>

#include "cpu/attention_memory.h"
#include "cpu/decode_attention.h"
#include "host_matrix.h"
#include "longstride/device.h"
#include "pattern/cache.h"

namespace longstride {
namespace {

// B sequences decoded side by side; head h has its own layout. Returns out (B, H, T, Dv).
std::vector<double> decode_all(const AttentionCase& c, DType type = DType::float32) {
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
  using tests::HostMatrix;
  const auto of = [&](std::int64_t rows, std::int64_t cols) {
    HostMatrix m(type, rows, cols, 1);
    m.fill(NAN);
    return m;
  };
  HostMatrix keys = of(c.B * slots, c.Dq), values = of(c.B * slots, c.Dv);
  HostMatrix q = of(c.B, c.H * c.Dq), k = q, v = of(c.B, c.H * c.Dv), out = v;
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
    const auto token = [&](HostMatrix& to, const std::vector<double>& from, std::int64_t D) {
      for (std::int64_t bh = 0; bh < c.B * c.H; ++bh)
        for (std::int64_t d = 0; d < D; ++d)
          to.set(bh / c.H, bh % c.H * D + d, static_cast<float>(from[(bh * c.T + i) * D + d]));
    };
    token(q, c.q, c.Dq), token(k, c.k, c.Dq), token(v, c.v, c.Dv);
    cpu::decode_attention({c.B, c.H, slots, static_cast<float>(c.scale), q.view(), k.view(), v.view(), out.view(),
                           keys.view().data, values.view().data, first_slot.data(), c.H, group.data(), write.data(),
                           write_begin.data(), read.data(), read_begin.data()},
                          workspace);
    const std::vector<double> got = out.values();
    for (std::int64_t bh = 0; bh < c.B * c.H; ++bh)
      for (std::int64_t d = 0; d < c.Dv; ++d) result[(bh * c.T + i) * c.Dv + d] = got[bh * c.Dv + d];
  }
  return result;
}

const std::vector<std::string> kPatterns = {"dense",         "window(20)",  "column(9)",        "row(30)",
                                            "summary(16,2)", "strided(12)", "previous_row(30)", "fixed(16,4)",
                                            "prefix(50)",    "digits(3,2)"};

void expect_whole_sequence(std::int64_t T, const std::vector<std::string>& patterns, DType type) {
  for (const auto& [Dq, Dv] : {std::pair{16, 16}, std::pair{7, 33}, std::pair{64, 80}, std::pair{1, 1}}) {
    const AttentionCase c = attention_case(patterns, 2, T, static_cast<std::int64_t>(patterns.size()), Dq, Dv);
    AttentionResult bound;
    // Weights stay float32 in either type: bfloat16 adds the rounding of the output alone.
    const AttentionResult wanted = define_attention(c, DType::float32, bound);
    const double rounding = type == DType::bfloat16 ? std::ldexp(1.0, -8) : 0;  // half of 2^-7
    for (const Isa isa : usable_isas()) {
      const WithIsa forced(isa);
      const std::vector<double> got = decode_all(c, type);
      for (std::size_t e = 0; e < got.size(); ++e)
        ASSERT_LE(std::abs(got[e] - wanted.out[e]),
                  bound.out[e] * (1 + rounding) + rounding * std::abs(wanted.out[e]) + 1e-30)
            << to_string(isa) << " Dq " << Dq << " Dv " << Dv << " head " << e / (T * Dv) % patterns.size()
            << " position " << e / Dv % T;
    }
  }
}

TEST(DecodeAttention, EqualsTheWholeSequenceAtEveryPosition) {
  expect_whole_sequence(150, kPatterns, DType::float32);
  expect_whole_sequence(150, kPatterns, DType::bfloat16);
}

TEST(DecodeAttention, PutsTheChunksOfManyKeysTogether) {  // 256 keys a chunk: at, and beyond, one and two
  expect_whole_sequence(520, {"dense", "column(1) | window(3)", "window(300)"}, DType::float32);
  expect_whole_sequence(520, {"dense", "window(300)"}, DType::bfloat16);
}

TEST(DecodeAttention, AnyNumberOfThreadsGivesTheSameBits) {
  const AttentionCase c = attention_case({"dense"}, 4, 333, 4, 64, 64);  // two chunks a head at the end
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
