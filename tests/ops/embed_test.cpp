// These tests hold embed and its gradient against their definitions.
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(EmbedOperation);

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
    for (std::int64_t i = 0; i < 120; ++i)
      hash_rows.push_back(static_cast<std::int32_t>((i * 5 + 3) % (kBuckets + 1)) - 1);
  }
  Embed op() {
    Embed e;
    e.B = 2;
    e.T = 30;
    e.V = V;
    e.tokens = array_of(tokens);
    e.start = array_of(start);
    e.token = array_of(token);
    e.positions = {{array_of(rows), 4, 7}, {array_of(columns), 7, 1}};
    e.buckets = kBuckets;
    e.hash = {array_of(pairs), array_of(triples)};
    e.hash_rows = array_of(hash_rows);
    e.taps = kTaps;
    e.kernel = array_of(kernel);
    e.out = out.view();
    return e;
  }
};

TEST_P(EmbedOperation, IsItsDefinition) {
  every_way([&](const std::string& way) {
    for (const std::int64_t C : {1, 7, 64, 65, 200}) {
      EmbedCase t(C);
      std::vector<std::int64_t> at;  // rows of both sequences, five positions later than they stand
      for (std::int64_t r = 0; r < 60; ++r) at.push_back(r % 30 + 5);
      for (const bool elsewhere : {false, true}) {
        Embed op = t.op();
        if (elsewhere) op.at = array_of(at);
        const definitions::Values got = same_for_any_threads("embed", [&] {
          run(op);
          return t.out.values();
        });
        // Seven roundings, of sums below 8.
        expect_close(got, definitions::embed(op), 7 * 8 * 0x1p-24, 0, "embed " + way);
      }
    }
  });
}

// As decoding has it: one token a sequence, those before it in front of it, each sequence at a position of its own.
TEST_P(EmbedOperation, OfOneTokenReadsTheHistoryBeforeIt) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    EmbedCase t(20);
    Embed whole = t.op();
    whole.hash.clear(), whole.hash_rows = {};
    run(whole);
    const definitions::Values all = t.out.values();
    for (const auto& [one_position, other_position] :
         {std::pair{0, 0}, {1, 1}, {2, 2}, {3, 3}, {29, 29}, {0, 7}, {29, 1}}) {
      std::vector<std::int64_t> at = {one_position, other_position};
      std::vector<std::int32_t> tokens;
      for (const std::int64_t sequence : {0, 1}) {
        const std::int64_t position = at[static_cast<std::size_t>(sequence)];
        for (std::int64_t p = position - kTaps; p <= position; ++p)
          tokens.push_back(p < 0 ? -1 : t.tokens[static_cast<std::size_t>(sequence * 30 + p)]);
      }
      HostMatrix out(DType::float32, 2, 20, 1, 1);
      Embed one = whole;
      one.T = 1;
      one.at = array_of(at);
      one.tokens = array_of(tokens).from(kTaps);
      one.tokens_stride = kTaps + 1;
      one.history = kTaps;
      one.out = out.view();
      run(one);
      definitions::Values want;
      for (const std::int64_t sequence : {0, 1}) {
        const auto row = all.begin() + (sequence * 30 + at[static_cast<std::size_t>(sequence)]) * 20;
        want.insert(want.end(), row, row + 20);
      }
      EXPECT_EQ(out.values(), want) << one_position << ", " << other_position;
    }
  });
}

TEST_P(EmbedOperation, AddsTheGradientsOfItsDefinition) {
  every_way([&](const std::string& way) {
    for (const std::int64_t C : {1, 7, 64, 65, 200}) {
      EmbedCase t(C);
      std::vector<float> dstart(t.start.size()), dtoken(t.token.size()), drows(t.rows.size()),
          dcolumns(t.columns.size()), dpairs(t.pairs.size()), dtriples(t.triples.size()), dkernel(t.kernel.size());
      std::vector<std::int64_t> at;
      for (std::int64_t r = 0; r < 60; ++r) at.push_back(r % 30 + 5);
      Embed forward = t.op();
      forward.out = {};
      if (C != 64) forward.at = array_of(at);
      const EmbedBackward op{forward,
                             t.out.view(),
                             array_of(dstart),
                             array_of(dtoken),
                             {array_of(drows), array_of(dcolumns)},
                             {array_of(dpairs), array_of(dtriples)},
                             array_of(dkernel)};
      const auto tables = {&dstart, &dtoken, &drows, &dcolumns, &dpairs, &dtriples, &dkernel};
      const definitions::Values got = same_for_any_threads("embed_backward", [&] {
        definitions::Values all;
        for (std::vector<float>* d : tables) d->assign(d->size(), 1);
        run(op);
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
      expect_close(got, want, sum_bound(60, 61), 0, "embed_backward " + way);  // at most 60 rows meet in one
    }
  });
}

}  // namespace
}  // namespace longstride::tests
