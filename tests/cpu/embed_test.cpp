// embed and its gradient against their definitions.
#include <gtest/gtest.h>

#include "every_isa.h"
#include "ops/ops.h"

namespace longstride::tests {
namespace {

constexpr std::int64_t kBuckets = 13;

struct EmbedCase {
  std::int64_t C, V = 11;
  HostMatrix out;
  std::vector<std::int32_t> tokens, hash_rows;
  std::vector<float> start, token, rows, columns, pairs, triples;
  explicit EmbedCase(std::int64_t c)
      : C(c),
        out(DType::float32, 2 * 30, c, 1, 1),
        start(random_floats(c, 2)),
        token(random_floats(V * c, 3)),
        rows(random_floats(4 * c, 4)),
        columns(random_floats(7 * c, 5)),
        pairs(random_floats(kBuckets * c, 6)),
        triples(random_floats(kBuckets * c, 7)) {
    for (std::int64_t i = 0; i < 60; ++i) tokens.push_back(i % 30 == 0 ? -1 : static_cast<std::int32_t>(i * 5 % V));
    for (std::int64_t i = 0; i < 120; ++i) hash_rows.push_back(static_cast<std::int32_t>(i * 7 % (kBuckets + 1)) - 1);
  }
  Embed op() {
    Embed e;
    e.B = 2;
    e.T = 30;
    e.V = V;
    e.tokens = tokens.data();
    e.start = start.data();
    e.token = token.data();
    e.positions = 2;
    e.position[0] = rows.data();
    e.position[1] = columns.data();
    e.extent[0] = 4;
    e.extent[1] = 7;
    e.divisor[0] = 7;
    e.divisor[1] = 1;
    e.hashes = 2;
    e.buckets = kBuckets;
    e.hash[0] = pairs.data();
    e.hash[1] = triples.data();
    e.hash_rows = hash_rows.data();
    e.out = out.view();
    return e;
  }
};

TEST(Embed, IsItsDefinition) {
  const auto backend = make_cpu_backend();
  for (const std::int64_t C : {1, 7, 64, 65, 200}) {
    EmbedCase t(C);
    for (const std::int64_t first : {0, 5}) {
      Embed op = t.op();
      op.first = first;
      const definitions::Values got = same_for_any_threads("embed", [&] {
        embed(*backend, op);
        return t.out.values();
      });
      expect_close(got, definitions::embed(op), 4 * 5 * 0x1p-24, 0, "embed");  // four roundings, of sums below 5
    }
  }
}

TEST(EmbedBackward, AddsItsDefinition) {
  const auto backend = make_cpu_backend();
  for (const std::int64_t C : {1, 7, 64, 65, 200}) {
    EmbedCase t(C);
    std::vector<float> dstart(t.start.size()), dtoken(t.token.size()), drows(t.rows.size()), dcolumns(t.columns.size()),
        dpairs(t.pairs.size()), dtriples(t.triples.size());
    const EmbedBackward op{t.op(),
                           t.out.view(),
                           dstart.data(),
                           dtoken.data(),
                           {drows.data(), dcolumns.data()},
                           {dpairs.data(), dtriples.data()}};
    const auto tables = {&dstart, &dtoken, &drows, &dcolumns, &dpairs, &dtriples};
    const definitions::Values got = same_for_any_threads("embed_backward", [&] {
      definitions::Values all;
      for (std::vector<float>* d : tables) d->assign(d->size(), 1);
      embed_backward(*backend, op);
      for (std::vector<float>* d : tables) append(all, as_values(*d));
      return all;
    });
    definitions::EmbedGradients d = definitions::embed_backward(op);
    definitions::Values want = d.start;
    append(want, d.token);
    for (const definitions::Values& p : d.position) append(want, p);
    for (const definitions::Values& h : d.hash) append(want, h);
    for (double& v : want) v += 1;
    expect_close(got, want, sum_bound(60, 61), 0, "embed_backward");  // at most 60 rows meet in one
  }
}

}  // namespace
}  // namespace longstride::tests
