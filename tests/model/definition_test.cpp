// The network once more, in double, from the names of its parameters and the definition of each step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "model/network.h"
#include "model/random_weights.h"
#include "model/small_model.h"
#include "stored_model.h"

namespace longstride {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

class Definition {
 public:
  Definition(const ModelConfig& model, const ParameterTable& table, const std::vector<float>& store)
      : model_(model), table_(table), store_(store) {}

  // Row t: the logits of token t, from the tokens before it.
  Rows logits(const std::vector<std::int32_t>& tokens) const {
    Rows h;
    for (std::size_t t = 0; t < tokens.size(); ++t) h.push_back(t == 0 ? part("start", 0) : embedded(tokens[t - 1], t));
    for (std::int64_t block = 0; block < model_.layers; ++block) {
      const std::string of = "blocks." + std::to_string(block) + ".";
      add(h, linear(attended(norm(h, of + "attention_norm", 1e-5), of + "attention.", block),
                    of + "attention.projection"));
      Rows hidden = linear(norm(h, of + "feedforward_norm", 1e-5), of + "feedforward.expand");
      for (Row& row : hidden)
        for (double& x : row) x /= 1 + std::exp(-1.702 * x);
      add(h, linear(hidden, of + "feedforward.contract"));
    }
    return linear(norm(h, "final_norm", 1e-6), "output");
  }

 private:
  // Row `at` of a tensor; of one of one dimension the whole.
  Row part(const std::string& name, std::int64_t at) const {
    const Parameter* tensor = table_.find(name);
    EXPECT_NE(tensor, nullptr) << name;
    const std::int64_t width = tensor->shape.back();
    const auto begin = store_.begin() + tensor->offset + at * width;
    return {begin, begin + width};
  }
  static void add(Row& to, const Row& x) {
    for (std::size_t c = 0; c < to.size(); ++c) to[c] += x[c];
  }
  static void add(Rows& to, const Rows& x) {
    for (std::size_t t = 0; t < to.size(); ++t) add(to[t], x[t]);
  }

  // The token before position t, and where it stands: the coordinates of t - 1, row-major.
  Row embedded(std::int32_t token, std::size_t t) const {
    Row sum = part("token_embedding.weight", token);
    std::int64_t rest = static_cast<std::int64_t>(t) - 1;
    for (std::size_t j = model_.positions.size(); j-- > 0; rest /= model_.positions[j])
      add(sum, part("position_embedding." + std::to_string(j) + ".weight", rest % model_.positions[j]));
    return sum;
  }

  Rows norm(const Rows& h, const std::string& name, double eps) const {
    const Row weight = part(name + ".weight", 0), bias = part(name + ".bias", 0);
    const auto C = static_cast<double>(weight.size());
    Rows y = h;
    for (Row& row : y) {
      double mean = 0, variance = 0;
      for (const double x : row) mean += x / C;
      for (const double x : row) variance += (x - mean) * (x - mean) / C;
      for (std::size_t c = 0; c < row.size(); ++c)
        row[c] = (row[c] - mean) / std::sqrt(variance + eps) * weight[c] + bias[c];
    }
    return y;
  }

  Rows linear(const Rows& x, const std::string& name) const {
    const std::int64_t outputs = table_.find(name + ".weight")->shape.front();
    const bool has_bias = table_.find(name + ".bias") != nullptr;
    Rows y(x.size(), has_bias ? part(name + ".bias", 0) : Row(static_cast<std::size_t>(outputs)));
    for (std::int64_t m = 0; m < outputs; ++m) {
      const Row weight = part(name + ".weight", m);
      for (std::size_t t = 0; t < x.size(); ++t)
        for (std::size_t c = 0; c < weight.size(); ++c) y[t][static_cast<std::size_t>(m)] += weight[c] * x[t][c];
    }
    return y;
  }

  Rows attended(const Rows& y, const std::string& name, std::int64_t block) const {
    const Rows q = linear(y, name + "query"), k = linear(y, name + "key"), v = linear(y, name + "value");
    const auto H = static_cast<std::size_t>(model_.heads), Dq = q[0].size() / H, Dv = v[0].size() / H;
    Rows out(y.size(), Row(v[0].size()));
    for (std::size_t h = 0; h < H; ++h)
      for (std::size_t i = 0; i < y.size(); ++i) {
        Row weights(i + 1);
        double sum = 0;
        for (std::size_t j = 0; j <= i; ++j) {
          if (!attends(model_.attention.head(block, static_cast<std::int64_t>(h)), static_cast<std::int64_t>(i),
                       static_cast<std::int64_t>(j)))
            continue;
          double score = 0;
          for (std::size_t d = h * Dq; d < (h + 1) * Dq; ++d) score += q[i][d] * k[j][d];
          weights[j] = std::exp(score / std::sqrt(static_cast<double>(Dq)));
          sum += weights[j];
        }
        for (std::size_t j = 0; j <= i && sum > 0; ++j)
          for (std::size_t d = h * Dv; d < (h + 1) * Dv; ++d) out[i][d] += weights[j] / sum * v[j][d];
      }
    return out;
  }

  const ModelConfig& model_;
  const ParameterTable& table_;
  const std::vector<float>& store_;
};

// spread: of the weights; where it is small, so are activations, and an epsilon that is another is seen.
void expect_definition(const ModelConfig& model, float spread) {
  const ParameterTable table(model);
  const std::vector<float> store = random_weights(table, 5, 11, spread);
  const std::vector<std::int32_t> tokens = tests::some_tokens(model.context, model.vocabulary);
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  const Buffer weights(*backend, table.store_elements() * 4);
  backend->upload(weights.data(), store.data(), weights.bytes());
  Network network(*backend, model, {1, model.context, DType::float32}, {&table, weights.f32(), nullptr});
  Pass pass;
  pass.batch = 1;
  pass.tokens = tokens.data();
  const std::vector<float> logits = network.logits(pass);
  const Rows defined = Definition(model, table, store).logits(tokens);
  double largest = 0, furthest = 0;
  for (std::size_t t = 0; t < defined.size(); ++t)
    for (std::size_t c = 0; c < defined[t].size(); ++c) {
      largest = std::max(largest, std::abs(defined[t][c]));
      furthest = std::max(furthest, std::abs(defined[t][c] - double{logits[t * defined[t].size() + c]}));
      ASSERT_TRUE(std::isfinite(logits[t * defined[t].size() + c]));
    }
  EXPECT_LT(furthest, 2e-5 * largest);  // some tens of float32's roundings
}

TEST(Network, GivesTheLogitsOfItsDefinition) {
  for (const char* attention :
       {"fixed(8,2)", R"x(["local(6)", "column(7)"])x", R"x([["local(5)", "column(6)"], "strided(7)"])x"})
    for (const float spread : {0.02f, 1.0f}) expect_definition(small_model(attention, 2), spread);
}

}  // namespace
}  // namespace longstride
