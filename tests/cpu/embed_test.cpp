// embed and its gradient against their definitions.
#include <gtest/gtest.h>

#include "every_isa.h"
#include "ops/ops.h"

namespace longstride::tests {
namespace {

struct EmbedCase {
  std::int64_t C, V = 11;
  HostMatrix out;
  std::vector<std::int32_t> tokens;
  std::vector<float> start, token, rows, columns;
  explicit EmbedCase(std::int64_t c)
      : C(c),
        out(DType::float32, 2 * 30, c, 1, 1),
        start(random_floats(c, 2)),
        token(random_floats(V * c, 3)),
        rows(random_floats(4 * c, 4)),
        columns(random_floats(7 * c, 5)) {
    for (std::int64_t i = 0; i < 60; ++i) tokens.push_back(i % 30 == 0 ? -1 : static_cast<std::int32_t>(i * 5 % V));
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
      expect_close(got, definitions::embed(op), 3 * 2 * 0x1p-24, 0, "embed");  // two roundings, of sums below 3
    }
  }
}

TEST(EmbedBackward, AddsItsDefinition) {
  const auto backend = make_cpu_backend();
  for (const std::int64_t C : {1, 7, 64, 65, 200}) {
    EmbedCase t(C);
    std::vector<float> dstart(t.start.size()), dtoken(t.token.size()), drows(t.rows.size()), dcolumns(t.columns.size());
    const EmbedBackward op{t.op(), t.out.view(), dstart.data(), dtoken.data(), {drows.data(), dcolumns.data()}};
    const definitions::Values got = same_for_any_threads("embed_backward", [&] {
      definitions::Values all;
      for (std::vector<float>* d : {&dstart, &dtoken, &drows, &dcolumns}) d->assign(d->size(), 1);
      embed_backward(*backend, op);
      for (std::vector<float>* d : {&dstart, &dtoken, &drows, &dcolumns}) append(all, as_values(*d));
      return all;
    });
    definitions::EmbedGradients d = definitions::embed_backward(op);
    definitions::Values want = d.start;
    append(want, d.token);
    for (const definitions::Values& p : d.position) append(want, p);
    for (double& v : want) v += 1;
    expect_close(got, want, sum_bound(60, 61), 0, "embed_backward");  // at most 60 rows meet in one
  }
}

}  // namespace
}  // namespace longstride::tests
