// Every refusal of the operations, with its words. The backend behind is never reached.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <functional>

#include "host_matrix.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride::tests {
namespace {

void expect_refused(const std::function<void()>& call, const std::string& sentence) {
  try {
    call();
    ADD_FAILURE() << "was accepted; should say: " << sentence;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument);
    EXPECT_EQ(error.what(), sentence);
  }
}

class Ops : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend = make_cpu_backend();
  std::vector<float> floats = std::vector<float>(4096);
  std::vector<std::int32_t> tokens = std::vector<std::int32_t>(64);
  Matrix f32(std::int64_t rows, std::int64_t cols) { return matrix(floats.data(), DType::float32, rows, cols); }
  Matrix bf16(std::int64_t rows, std::int64_t cols) { return matrix(floats.data(), DType::bfloat16, rows, cols); }
};

TEST_F(Ops, LinearSaysWhatDoesNotFit) {
  Linear good;
  good.x = f32(3, 4), good.w = f32(5, 4), good.y = f32(3, 5);
  const auto refused = [&](const std::function<void(Linear&)>& spoil, const std::string& sentence) {
    Linear op = good;
    spoil(op);
    expect_refused([&] { linear(*backend, op); }, sentence);
  };
  refused([](Linear& op) { op.x = {}; }, "linear: x is missing");
  refused([&](Linear& op) { op.x = f32(0, 4); }, "linear: x must not be empty, got (0, 4)");
  refused([](Linear& op) { op.w.cols = 6; }, "linear: w needs a stride of at least 6, got 4");
  refused([&](Linear& op) { op.w = f32(5, 6); }, "linear: w must be (5, 4), got (5, 6)");
  refused([&](Linear& op) { op.w = bf16(5, 4); }, "linear: w must be float32, got bfloat16");
  refused([&](Linear& op) { op.pre = f32(3, 4); }, "linear: pre must be (3, 5), got (3, 4)");
  refused([&](Linear& op) { op.y = f32(2, 5); }, "linear: y must be (3, 5), got (2, 5)");
  refused([&](Linear& op) { op.y = bf16(3, 5); }, "linear: y must be float32, got bfloat16");
}

TEST_F(Ops, LinearBackwardSaysWhatDoesNotFit) {
  expect_refused(
      [&] {
        linear_backward_data(*backend, {f32(3, 5), f32(4, 4), {}, f32(3, 4)});
      },
      "linear_backward_data: w must be (5, 4), got (4, 4)");
  expect_refused(
      [&] {
        linear_backward_data(*backend, {f32(3, 5), f32(5, 4), f32(3, 5), f32(3, 4)});
      },
      "linear_backward_data: pre must be (3, 4), got (3, 5)");
  expect_refused(
      [&] {
        linear_backward_data(*backend, {f32(3, 5), f32(5, 4), {}, {}});
      },
      "linear_backward_data: dx is missing");
  expect_refused(
      [&] {
        linear_backward_weights(*backend, {bf16(3, 5), bf16(3, 4), bf16(5, 4), nullptr});
      },
      "linear_backward_weights: dw must be float32, got bfloat16");
  expect_refused(
      [&] {
        linear_backward_weights(*backend, {f32(3, 5), f32(2, 4), f32(5, 4), nullptr});
      },
      "linear_backward_weights: x must be (3, 4), got (2, 4)");
}

TEST_F(Ops, NormSaysWhatDoesNotFit) {
  float* p = floats.data();
  const ResidualNorm good{f32(3, 4), f32(3, 4), {}, f32(3, 4), p, p, 1e-5f, f32(3, 4), p, p};
  const auto refused = [&](const std::function<void(ResidualNorm&)>& spoil, const std::string& sentence) {
    ResidualNorm op = good;
    spoil(op);
    expect_refused([&] { residual_norm(*backend, op); }, sentence);
  };
  refused([&](ResidualNorm& op) { op.h_in = bf16(3, 4); }, "residual_norm: h_in must be float32, got bfloat16");
  refused([&](ResidualNorm& op) { op.branch = bf16(3, 4); }, "residual_norm: branch must be float32, got bfloat16");
  refused([](ResidualNorm& op) { op.h_out = {}; }, "residual_norm: h_out is missing");
  refused([&](ResidualNorm& op) { op.y = f32(3, 5); }, "residual_norm: y must be (3, 4), got (3, 5)");
  refused([](ResidualNorm& op) { op.weight = nullptr; }, "residual_norm: weight is missing");
  refused([](ResidualNorm& op) { op.rstd = nullptr; }, "residual_norm: rstd is missing");
  refused([](ResidualNorm& op) { op.eps = 0; }, "residual_norm: eps must be above 0, got 0.000000");
  refused([](ResidualNorm& op) { op.dropout.rate = 1; }, "residual_norm: dropout must be in [0, 1), got 1.000000");
  refused([](ResidualNorm& op) { op.dropout.rate = NAN; }, "residual_norm: dropout must be in [0, 1), got nan");
  ResidualNormBackward backward{f32(3, 4), f32(3, 4), p, p, p, {}, f32(3, 4), {}, {}, p, nullptr};
  expect_refused([&] { residual_norm_backward(*backend, backward); }, "residual_norm_backward: dbias is missing");
  backward.dh = f32(4, 4);
  expect_refused([&] { residual_norm_backward(*backend, backward); },
                 "residual_norm_backward: dh must be (3, 4), got (4, 4)");
}

TEST_F(Ops, EmbedSaysWhatDoesNotFit) {
  Embed op;
  expect_refused([&] { embed(*backend, op); }, "embed: B must be at least 1, got 0");
  op.B = op.T = op.V = 2;
  expect_refused([&] { embed(*backend, op); }, "embed: tokens is missing");
  op.tokens = tokens.data();
  op.positions = 5;
  expect_refused([&] { embed(*backend, op); }, "embed: positions must be 0 to 4, got 5");
  op.positions = 1;
  expect_refused([&] { embed(*backend, op); }, "embed: extent must be at least 1, got 0");
  op.positions = 0;
  op.hashes = 9;
  expect_refused([&] { embed(*backend, op); }, "embed: hashes must be 0 to 8, got 9");
  op.hashes = 1;
  expect_refused([&] { embed(*backend, op); }, "embed: buckets must be at least 1, got 0");
  op.buckets = 3;
  expect_refused([&] { embed(*backend, op); }, "embed: hash_rows is missing");
  op.hash_rows = tokens.data(), op.out = f32(4, 4), op.start = op.token = floats.data();
  expect_refused([&] { embed(*backend, op); }, "embed: hash is missing");
  op.hashes = 0, op.taps = 2;
  expect_refused([&] { embed(*backend, op); }, "embed: kernel is missing");
  op.history = 2, op.tokens_stride = 3;
  expect_refused([&] { embed(*backend, op); }, "embed: tokens_stride must be at least 4, got 3");
  op.taps = op.history = op.tokens_stride = 0, op.start = op.token = nullptr;
  op.out = f32(3, 4);
  expect_refused([&] { embed(*backend, op); }, "embed: out must be (4, 4), got (3, 4)");
  expect_refused(
      [&] {
        embed_backward(*backend, {op, f32(4, 4), nullptr, nullptr, {}, {}});
      },
      "embed_backward: dstart is missing");
}

TEST_F(Ops, VocabularyLossSaysWhatDoesNotFit) {
  VocabularyLoss op;
  op.x = f32(3, 4), op.w = f32(7, 5), op.targets = tokens.data(), op.losses = floats.data();
  expect_refused([&] { vocabulary_loss(*backend, op); }, "vocabulary_loss: w must be (7, 4), got (7, 5)");
  op.w = f32(7, 4), op.dx = f32(3, 4);
  expect_refused([&] { vocabulary_loss(*backend, op); }, "vocabulary_loss: dx and dw are given together or not at all");
  op.dx = {}, op.losses = nullptr;
  expect_refused([&] { vocabulary_loss(*backend, op); }, "vocabulary_loss: losses is missing");
}

TEST_F(Ops, AdamWSaysWhatDoesNotFit) {
  AdamW op;
  expect_refused([&] { adamw(*backend, op); }, "adamw: count must be at least 1, got 0");
  op.count = 1;
  expect_refused([&] { adamw(*backend, op); }, "adamw: w is missing");
  op.w = op.m = op.v = floats.data(), op.dw = floats.data(), op.row = 2;
  expect_refused([&] { adamw(*backend, op); }, "adamw: row must be 0 or divide count 1, got 2");
  op.row = 0, op.correction2 = 0;
  expect_refused([&] { adamw(*backend, op); }, "adamw: corrections must be above 0, got 1.000000 and 0.000000");
}

TEST_F(Ops, AttentionSaysWhatDoesNotFit) {
  const Tiling six(parse_pattern("dense"), 6), five(parse_pattern("dense"), 5);
  const Tiling* tilings[] = {&six, &six, &six};
  Attention op;
  op.B = 1, op.T = 6, op.H = 2, op.tilings = tilings, op.lse = floats.data();
  const auto of = [&](std::int64_t T, std::int64_t D) { return heads(f32(T, 2 * D), 1, T, 2); };
  op.q = op.k = of(6, 4), op.v = op.out = of(6, 2);
  const auto refused = [&](const std::function<void(Attention&)>& spoil, const std::string& sentence) {
    Attention spoilt = op;
    spoil(spoilt);
    expect_refused([&] { attention(*backend, spoilt); }, "attention: " + sentence);
    AttentionBackward backward;
    backward.forward = spoilt;
    expect_refused([&] { attention_backward(*backend, backward); }, "attention_backward: " + sentence);
  };
  refused([](Attention& a) { a.scale = 0; }, "scale must be above 0, got 0.000000");
  refused([](Attention& a) { a.q = {}; }, "q is missing");
  refused([](Attention& a) { a.H = 3; }, "q must be (1, 6, 3, 4), got (1, 6, 2, 4)");
  refused([&](Attention& a) { a.k = of(6, 3); }, "k must be (1, 6, 2, 4), got (1, 6, 2, 3)");
  refused([&](Attention& a) { a.q = of(5, 4); }, "out must be (1, 5, 2, 2), got (1, 6, 2, 2)");
  refused([](Attention& a) { a.v.type = DType::bfloat16; }, "v must be float32, got bfloat16");
  refused([](Attention& a) { a.v.D = 257; }, "v must have 1 to 256 channels a head, got 257");
  refused([](Attention& a) { a.k.head_stride = 3; }, "k needs a head stride of at least 4, got 3");
  refused([](Attention& a) { a.q.row_stride = 3; }, "q needs a row stride of at least 4, got 3");
  refused([](Attention& a) { a.first = -1; }, "first must be at least 0, got -1");
  refused([](Attention& a) { a.first = 1; }, "queries must lie in [0, 6), got [1, 7)");
  refused([](Attention& a) { a.lse = nullptr; }, "lse is missing");
  AttentionBackward some;
  some.forward = op, some.forward.q = of(5, 4), some.forward.out = of(5, 2);
  expect_refused([&] { attention_backward(*backend, some); },
                 "attention_backward: needs the queries of whole sequences, [0, 6), got [0, 5)");
  tilings[1] = &five;
  refused([](Attention&) {}, "tiling of head 1 must have length 6, got 5");
  DecodeAttention decode;
  decode.B = 1, decode.H = 3, decode.slots = 4, decode.groups = 1;
  decode.q = decode.k = f32(1, 8), decode.v = decode.out = f32(1, 6);
  expect_refused([&] { decode_attention(*backend, decode); },
                 "decode_attention: q and v must be divisible by 3 heads, got widths 8 and 6");
  decode.H = 2;
  expect_refused([&] { decode_attention(*backend, decode); }, "decode_attention: keys is missing");
}

}  // namespace
}  // namespace longstride::tests
