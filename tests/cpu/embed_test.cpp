// embed and its gradient against their definitions.
#include <gtest/gtest.h>

#include "every_isa.h"
#include "ops/array_of.h"
#include "ops/ops.h"

namespace longstride::tests {

using namespace cpu;
namespace {

constexpr std::int64_t kBuckets = 13, kTaps = 3;

struct EmbedCase {
  std::int64_t C, V = 11;
  HostMatrix out;
  std::vector<std::int32_t> tokens, hash_rows;
  std::vector<float> start, token, rows, columns, pairs, triples, kernel;
  explicit EmbedCase(std::int64_t c)
      : C(c),
        out(DType::float32, 2 * 30, c, 1, 1),
        start(random_floats(c, 2)),
        token(random_floats(V * c, 3)),
        rows(random_floats(4 * c, 4)),
        columns(random_floats(7 * c, 5)),
        pairs(random_floats(kBuckets * c, 6)),
        triples(random_floats(kBuckets * c, 7)),
        kernel(random_floats(kTaps * c, 8)) {
    for (std::int64_t i = 0; i < 60; ++i) tokens.push_back(i % 30 == 0 ? -1 : static_cast<std::int32_t>(i * 5 % V));
    for (std::int64_t i = 0; i < 120; ++i) hash_rows.push_back(static_cast<std::int32_t>(i * 7 % (kBuckets + 1)) - 1);
  }
  Embed op() {
    Embed e;
    e.B = 2;
    e.T = 30;
    e.V = V;
    e.tokens = of(tokens);
    e.start = of(start);
    e.token = of(token);
    e.positions = {{of(rows), 4, 7}, {of(columns), 7, 1}};
    e.buckets = kBuckets;
    e.hash = {of(pairs), of(triples)};
    e.hash_rows = of(hash_rows);
    e.taps = kTaps;
    e.kernel = of(kernel);
    e.out = out.view();
    return e;
  }
};

TEST(Embed, IsItsDefinition) {
  const auto backend = make_backend(Device::cpu);
  for (const std::int64_t C : {1, 7, 64, 65, 200}) {
    EmbedCase t(C);
    for (const std::int64_t first : {0, 5}) {
      Embed op = t.op();
      std::vector<std::int64_t> at;
      for (std::int64_t row = 0; row < 60; ++row) at.push_back(first + row % 30);
      if (first > 0) op.at = of(at);
      const definitions::Values got = same_for_any_threads("embed", [&] {
        run_once(*backend, op);
        return t.out.values();
      });
      expect_close(got, definitions::embed(op), 7 * 8 * 0x1p-24, 0, "embed");  // seven roundings, of sums below 8
    }
  }
}

// As decoding has it: one token a sequence, those before it in front of it.
TEST(Embed, OfOneTokenReadsTheHistoryBeforeIt) {
  const auto backend = make_backend(Device::cpu);
  EmbedCase t(20);
  Embed whole = t.op();
  whole.hash.clear();
  run_once(*backend, whole);
  const definitions::Values all = t.out.values();
  for (const std::int64_t position : {0, 1, 2, 3, 29}) {
    std::vector<std::int32_t> tokens;
    for (const std::int64_t sequence : {0, 1}) {
      for (std::int64_t p = position - kTaps; p <= position; ++p)
        tokens.push_back(p < 0 ? -1 : t.tokens[static_cast<std::size_t>(sequence * 30 + p)]);
    }
    HostMatrix out(DType::float32, 2, 20, 1, 1);
    Embed one = whole;
    one.T = 1;
    const std::vector<std::int64_t> at(2, position);
    one.at = of(at);
    one.tokens = of(tokens).from(kTaps);
    one.tokens_stride = kTaps + 1;
    one.history = kTaps;
    one.out = out.view();
    run_once(*backend, one);
    definitions::Values want;
    for (const std::int64_t sequence : {0, 1}) {
      const auto row = all.begin() + (sequence * 30 + position) * 20;
      want.insert(want.end(), row, row + 20);
    }
    EXPECT_EQ(out.values(), want) << position;
  }
}

TEST(EmbedBackward, AddsItsDefinition) {
  const auto backend = make_backend(Device::cpu);
  for (const std::int64_t C : {1, 7, 64, 65, 200}) {
    EmbedCase t(C);
    std::vector<float> dstart(t.start.size()), dtoken(t.token.size()), drows(t.rows.size()), dcolumns(t.columns.size()),
        dpairs(t.pairs.size()), dtriples(t.triples.size()), dkernel(t.kernel.size());
    const EmbedBackward op{
        t.op(),     t.out.view(), of(dstart), of(dtoken), {of(drows), of(dcolumns)}, {of(dpairs), of(dtriples)},
        of(dkernel)};
    const auto tables = {&dstart, &dtoken, &drows, &dcolumns, &dpairs, &dtriples, &dkernel};
    const definitions::Values got = same_for_any_threads("embed_backward", [&] {
      definitions::Values all;
      for (std::vector<float>* d : tables) d->assign(d->size(), 1);
      run_once(*backend, op);
      for (std::vector<float>* d : tables) append(all, as_values(*d));
      return all;
    });
    definitions::EmbedGradients d = definitions::embed_backward(op);
    definitions::Values want = d.start;
    append(want, d.token);
    for (const definitions::Values& p : d.position) append(want, p);
    for (const definitions::Values& h : d.hash) append(want, h);
    append(want, d.kernel);
    for (double& v : want) v += 1;
    expect_close(got, want, sum_bound(60, 61), 0, "embed_backward");  // at most 60 rows meet in one
  }
}

}  // namespace
}  // namespace longstride::tests
