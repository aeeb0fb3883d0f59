// AttentionView against the definition of attention, from queries and keys of the same pass.
#include "longstride/attention.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <tuple>

#include "error_words.h"
#include "io/file.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "model/network.h"
#include "model/random_weights.h"
#include "ops/definitions.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLayers = 3, kHeads = 2, kContext = 36;

using Row = std::map<std::int64_t, double>;                          // key to probability
using Place = std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // layer, head, query

std::vector<std::int64_t> all_of(std::int64_t count) {
  std::vector<std::int64_t> list;
  for (std::int64_t at = 0; at < count; ++at) list.push_back(at);
  return list;
}

class LookingInside : public testing::Test {
 protected:
  LookingInside() {
    std::string pattern = (fs::temp_directory_path() / "longstride-attention-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    std::string text;
    for (int i = 0; i < 50; ++i) text += static_cast<char>('a' + i * i % 23);
    write_file_atomically(path("text"), text);
  }
  ~LookingInside() override { fs::remove_all(root_); }
  std::string path(const std::string& name) const { return (root_ / name).string(); }

  // A model of random weights, sharp enough that heads choose.
  void make(const std::string& attention, const DataConfig& data = {}) {
    Config config;
    config.model.context = kContext;
    config.model.layers = kLayers;
    config.model.width = 16;
    config.model.heads = kHeads;
    config.model.positions = {3, 4, 3};
    config.model.attention = read_attention(attention);
    config.data = data;
    config = read_config({write_config(config)}, {"test"}, {});
    const ParameterTable table(config.model);
    const std::vector<float> store = random_weights(table, 4, 5, 2);
    save_model(path("model.safetensors"), config, 7, table, store.data());
  }

  AttentionView view(const std::string& input = "text") const {
    AttentionOptions options;
    options.run = path("model.safetensors");
    options.input = path(input);
    return AttentionView(options);
  }

  static std::map<Place, Row> rows_of(const AttentionView& view) {
    std::map<Place, Row> rows;
    view.rows(all_of(kLayers), all_of(kHeads), all_of(kContext), [&](const AttentionRow& row) {
      Row& made = rows[{row.layer, row.head, row.query}];
      for (std::size_t e = 0; e < row.keys.size(); ++e) made[row.keys[e]] = row.p[e];
      EXPECT_EQ(made.size(), row.keys.size());
    });
    return rows;
  }

  fs::path root_;
};

// p of every key by the formula in double, where the pattern attends; 0 elsewhere.
std::vector<double> defined(const Attention& op, std::int64_t head, std::int64_t query) {
  const std::int64_t D = op.q.D;
  std::vector<double> p(static_cast<std::size_t>(op.T));
  double sum = 0;
  for (std::int64_t j = 0; j < op.T; ++j) {
    if (!attends(op.tilings[head]->pattern(), query, j)) continue;
    double score = 0;
    for (std::int64_t d = 0; d < D; ++d) {
      score += double{op.q.f32()[op.q.offset(0, query, head) + d]} * op.k.f32()[op.k.offset(0, j, head) + d];
    }
    p[static_cast<std::size_t>(j)] = std::exp(op.scale * score);
    sum += p[static_cast<std::size_t>(j)];
  }
  for (double& value : p) value = sum > 0 ? value / sum : 0;
  return p;
}

// out_i = sum_j p_j v_j of the rows is what the definition of ops.h says, and each p the softmax's.
void expect_defined(const std::map<Place, Row>& rows, std::int64_t layer, const Attention& op) {
  const std::vector<double> out = definitions::attention(op).out;
  const std::int64_t D = op.v.D, C = op.H * D;
  for (std::int64_t head = 0; head < op.H; ++head) {
    for (std::int64_t i = 0; i < op.T; ++i) {
      const Row& row = rows.at({layer, head, i});
      const std::vector<double> wanted = defined(op, head, i);
      double sum = 0;
      std::vector<double> mixed(static_cast<std::size_t>(D));
      for (std::int64_t j = 0; j < op.T; ++j) {
        const auto found = row.find(j);
        ASSERT_EQ(found != row.end(), attends(op.tilings[head]->pattern(), i, j)) << layer << " " << i << " " << j;
        if (found == row.end()) continue;
        // lse is a float32 of size up to about 10: 1e-6 of it, and p is at most 1.
        ASSERT_NEAR(found->second, wanted[static_cast<std::size_t>(j)], 1e-5) << layer << " " << i << " " << j;
        sum += found->second;
        for (std::int64_t d = 0; d < D; ++d) {
          mixed[static_cast<std::size_t>(d)] += found->second * op.v.f32()[op.v.offset(0, j, head) + d];
        }
      }
      ASSERT_NEAR(sum, row.empty() ? 0 : 1, 1e-5);
      for (std::int64_t d = 0; d < D; ++d) {
        ASSERT_NEAR(mixed[static_cast<std::size_t>(d)], out[static_cast<std::size_t>(i * C + head * D + d)], 1e-4);
      }
    }
  }
}

TEST_F(LookingInside, EqualsTheDefinitionForEveryIntegration) {
  for (const char* attention :
       {"fixed(7,2)", R"x(["local(5)", "column(6)"])x", R"x([["local(5)", "strided(6)"]])x", "summary(9,2)", "dense"}) {
    make(attention);
    const AttentionView seen = view();
    ASSERT_EQ(static_cast<std::int64_t>(seen.tokens().size()), kContext);  // the file is longer
    const std::map<Place, Row> rows = rows_of(seen);
    ASSERT_EQ(rows.size(), static_cast<std::size_t>(kLayers * kHeads * kContext));
    const std::unique_ptr<Backend> backend = make_cpu_backend();
    const LoadedModel loaded = load_model(*backend, path("model.safetensors"), DType::float32);
    Network network(*backend, loaded.config.model, {1, kContext, DType::float32}, loaded.weights());
    const std::vector<std::int32_t> tokens(seen.tokens().begin(), seen.tokens().end());
    Pass pass;
    pass.tokens = tokens.data();
    std::int64_t blocks = 0;
    network.watch(pass, [&](std::int64_t layer, const Attention& op) {
      ++blocks;
      expect_defined(rows, layer, op);
    });
    EXPECT_EQ(blocks, kLayers);
  }
}

TEST_F(LookingInside, TakesWhatIsAskedInItsOrderAndShortInputs) {
  make("fixed(7,2)");
  write_file_atomically(path("short"), "abcde");
  const AttentionView seen = view("short");
  EXPECT_EQ(seen.tokens().size(), 5u);
  EXPECT_EQ(seen.step(), 7);
  std::vector<Place> places;
  seen.rows({2, 0}, {1}, {4, 0}, [&](const AttentionRow& row) { places.push_back({row.layer, row.head, row.query}); });
  EXPECT_EQ(places, (std::vector<Place>{{0, 1, 4}, {0, 1, 0}, {2, 1, 4}, {2, 1, 0}}));
  const auto refused = [&](const auto& layers, const auto& heads, const auto& queries) -> std::string {
    try {
      seen.rows(layers, heads, queries, [](const AttentionRow&) {});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  using List = std::vector<std::int64_t>;
  EXPECT_EQ(refused(List{3}, List{0}, List{0}), "attention: layers lie in [0, 2], got 3");
  EXPECT_EQ(refused(List{0}, List{-1}, List{0}), "attention: heads lie in [0, 1], got -1");
  EXPECT_EQ(refused(List{0}, List{0}, List{5}), "attention: queries lie in [0, 4], got 5");
  EXPECT_EQ(refused(List{0}, List{}, List{5}), "attention: needs heads to look at, got none");
}

TEST_F(LookingInside, TakesTokensInThePlaceOfAFile) {
  make("fixed(7,2)");
  write_file_atomically(path("short"), "abcde");
  AttentionOptions options;
  options.run = path("model.safetensors");
  options.tokens = {'a', 'b', 'c', 'd', 'e'};
  const auto rows = [](const AttentionView& view) {
    std::vector<double> p;
    view.rows({0, 2}, {0, 1}, {4}, [&](const AttentionRow& row) { p.insert(p.end(), row.p.begin(), row.p.end()); });
    return p;
  };
  EXPECT_EQ(rows(AttentionView(options)), rows(view("short")));
  const auto refused = [&](std::vector<std::uint8_t> tokens, const std::string& sentence) {
    options.tokens = std::move(tokens);
    expect_refused([&] { AttentionView view(options); }, sentence);
  };
  refused({}, "attention: the input has no tokens");
  refused(std::vector<std::uint8_t>(kContext + 1), "attention: the input is " + std::to_string(kContext + 1) +
                                                       " tokens, the model's context is " + std::to_string(kContext));
}

std::vector<int> pixel(const Image& image, int y, int x) {
  const std::uint8_t* at = image.bytes.data() + 3 * (y * image.width + x);
  return {at[0], at[1], at[2]};
}

TEST_F(LookingInside, IsDrawnOverAPicture) {
  DataConfig data;
  data.kind = "image";
  data.image_size = {3, 4};
  data.channels = 3;
  make("window(4)", data);
  Image picture{4, 3, 3, std::vector<std::uint8_t>(kContext, 100)};
  write_png(picture, path("a.png"));
  const AttentionView seen = view("a.png");
  const std::int64_t query = 3 * 6 + 1;  // the pixel of row 1, column 2
  const Image drawn = draw_attention_over_picture(seen, {{0, 2}, {0, 1}, 40}, {query, 35});
  EXPECT_EQ(drawn.width, 2 * 40 + 4);
  EXPECT_EQ(drawn.height, 4 * 30 + 3 * 4);
  EXPECT_EQ(pixel(drawn, 15, 25), (std::vector<int>{0, 170, 255}));   // the query's own
  EXPECT_EQ(pixel(drawn, 5, 5), (std::vector<int>{45, 45, 45}));      // earlier, not read
  EXPECT_EQ(pixel(drawn, 25, 5), (std::vector<int>{12, 12, 12}));     // later
  EXPECT_EQ(pixel(drawn, 0, 41), (std::vector<int>{255, 255, 255}));  // between panels
  // Of the keys 16 to 19, those before its own pixel hold tokens 15 to 17: one pixel, which is the largest.
  EXPECT_EQ(pixel(drawn, 15, 15), (std::vector<int>{255, 140, 0}));
  EXPECT_EQ(pixel(drawn, 2 * 34 + 25, 35), (std::vector<int>{0, 170, 255}));  // the second query's block
}

TEST_F(LookingInside, IsDrawnAsAMatrixOfAWindow) {
  make("window(1)");  // every query reads itself alone, with probability 1
  const AttentionView seen = view();
  const Image drawn = draw_attention_matrix(seen, {{1}, {0, 1}, 40}, 3, 8);
  EXPECT_EQ(drawn.width, 84);
  EXPECT_EQ(drawn.height, 40);
  for (int cell = 0; cell < 8; ++cell) {
    EXPECT_EQ(pixel(drawn, 5 * cell + 2, 5 * cell + 2), (std::vector<int>{255, 140, 0})) << cell;
    if (cell < 7) {
      EXPECT_EQ(pixel(drawn, 5 * cell + 2, 5 * cell + 7), (std::vector<int>{236, 236, 234}));
    }
    if (cell > 0) {
      EXPECT_EQ(pixel(drawn, 5 * cell + 2, 5 * cell - 3), (std::vector<int>{24, 28, 36}));
    }
  }
  const Image averaged = draw_attention_matrix(seen, {{1}, {0}, 5}, 0, kContext);  // cells of seven and eight
  EXPECT_EQ(averaged.width, 5);
  for (int cell = 0; cell < 5; ++cell) EXPECT_EQ(pixel(averaged, cell, cell), (std::vector<int>{255, 140, 0}));
  EXPECT_THROW(draw_attention_matrix(seen, {{1}, {0}}, 30, 7), Error);
  EXPECT_THROW(draw_attention_matrix(seen, {{1}, {0}, 0}, 0, 7), Error);
}

}  // namespace
}  // namespace longstride
