// These tests hear every refusal of the operations, with its words. Operands have no address: compiling looks at shapes
// alone.
#include "ops/ops.h"

#include <gtest/gtest.h>

#include <functional>

#include "error_words.h"
#include "ops/on_device.h"

namespace longstride::tests {
namespace {

Matrix f32(std::int64_t rows, std::int64_t cols) { return matrix(nullptr, DType::float32, rows, cols); }
Matrix bf16(std::int64_t rows, std::int64_t cols) { return matrix(nullptr, DType::bfloat16, rows, cols); }
Array<float> floats(std::int64_t count) { return array<float>(nullptr, count); }
Array<std::int32_t> whole(std::int64_t count) { return array<std::int32_t>(nullptr, count); }
Array<std::int64_t> places(std::int64_t count) { return array<std::int64_t>(nullptr, count); }

class Ops : public OnDevice {
 protected:
  void compile(Operation operation) {
    Program program;
    program.add(std::move(operation));
    backend().compile(std::move(program));
  }
};
LONGSTRIDE_ON_EVERY_DEVICE(Ops);

TEST_P(Ops, LinearSaysWhatDoesNotFit) {
  Linear good;
  good.x = f32(3, 4), good.w = f32(5, 4), good.y = f32(3, 5);
  const auto refused = [&](const std::function<void(Linear&)>& spoil, const std::string& sentence) {
    Linear op = good;
    spoil(op);
    expect_refused([&] { compile(op); }, sentence);
  };
  refused([](Linear& op) { op.x = {}; }, "linear: x is missing");
  refused([&](Linear& op) { op.x = f32(0, 4); }, "linear: x is missing");
  refused([&](Linear& op) { op.x = f32(3, 0); }, "linear: x must not be empty, got (3, 0)");
  refused([](Linear& op) { op.w.cols = 6; }, "linear: w needs a stride of at least 6, got 4");
  refused([&](Linear& op) { op.w = f32(5, 6); }, "linear: w must be (5, 4), got (5, 6)");
  refused([&](Linear& op) { op.w = bf16(5, 4); }, "linear: w must be float32, got bfloat16");
  refused([&](Linear& op) { op.pre = f32(3, 4); }, "linear: pre must be (3, 5), got (3, 4)");
  refused([&](Linear& op) { op.y = f32(2, 5); }, "linear: y must be (3, 5), got (2, 5)");
  refused([&](Linear& op) { op.y = bf16(3, 5); }, "linear: y must be float32, got bfloat16");
}

TEST_P(Ops, LinearBackwardSaysWhatDoesNotFit) {
  expect_refused(
      [&] {
        compile(LinearBackwardData{f32(3, 5), f32(4, 4), {}, f32(3, 4)});
      },
      "linear_backward_data: w must be (5, 4), got (4, 4)");
  expect_refused(
      [&] {
        compile(LinearBackwardData{f32(3, 5), f32(5, 4), f32(3, 5), f32(3, 4)});
      },
      "linear_backward_data: pre must be (3, 4), got (3, 5)");
  expect_refused(
      [&] {
        compile(LinearBackwardData{f32(3, 5), f32(5, 4), {}, {}});
      },
      "linear_backward_data: dx is missing");
  expect_refused(
      [&] {
        compile(LinearBackwardWeights{bf16(3, 5), bf16(3, 4), bf16(5, 4), {}});
      },
      "linear_backward_weights: dw must be float32, got bfloat16");
  expect_refused(
      [&] {
        compile(LinearBackwardWeights{f32(3, 5), f32(2, 4), f32(5, 4), {}});
      },
      "linear_backward_weights: x must be (3, 4), got (2, 4)");
}

TEST_P(Ops, NormSaysWhatDoesNotFit) {
  const Array<float> N = floats(3), C = floats(4);
  const ResidualNorm good{f32(3, 4), f32(3, 4), {}, f32(3, 4), C, C, 1e-5f, f32(3, 4), N, N};
  const auto refused = [&](const std::function<void(ResidualNorm&)>& spoil, const std::string& sentence) {
    ResidualNorm op = good;
    spoil(op);
    expect_refused([&] { compile(op); }, sentence);
  };
  refused([&](ResidualNorm& op) { op.h_in = bf16(3, 4); }, "residual_norm: h_in must be float32, got bfloat16");
  refused([&](ResidualNorm& op) { op.branch = bf16(3, 4); }, "residual_norm: branch must be float32, got bfloat16");
  refused([](ResidualNorm& op) { op.h_out = {}; }, "residual_norm: h_out is missing");
  refused([&](ResidualNorm& op) { op.y = f32(3, 5); }, "residual_norm: y must be (3, 4), got (3, 5)");
  refused([](ResidualNorm& op) { op.weight = {}; }, "residual_norm: weight is missing");
  refused([&](ResidualNorm& op) { op.bias = N; }, "residual_norm: bias must have 4 elements, got 3");
  refused([](ResidualNorm& op) { op.rstd = {}; }, "residual_norm: rstd is missing");
  refused([](ResidualNorm& op) { op.eps = 0; }, "residual_norm: eps must be above 0, got 0.000000");
  refused([](ResidualNorm& op) { op.dropout.rate = 1; }, "residual_norm: dropout must be in [0, 1), got 1.000000");
  refused([](ResidualNorm& op) { op.dropout.rate = NAN; }, "residual_norm: dropout must be in [0, 1), got nan");
  ResidualNormBackward backward{f32(3, 4), f32(3, 4), N, N, C, {}, f32(3, 4), {}, {}, C, {}};
  expect_refused([&] { compile(backward); }, "residual_norm_backward: dbias is missing");
  backward.dh = f32(4, 4);
  expect_refused([&] { compile(backward); }, "residual_norm_backward: dh must be (3, 4), got (4, 4)");
}

TEST_P(Ops, EmbedSaysWhatDoesNotFit) {
  Embed op;
  expect_refused([&] { compile(op); }, "embed: B must be at least 1, got 0");
  op.B = op.T = op.V = 2;
  expect_refused([&] { compile(op); }, "embed: C must be at least 1, got 0");
  op.out = f32(4, 4);
  expect_refused([&] { compile(op); }, "embed: tokens is missing");
  op.tokens = whole(3);
  expect_refused([&] { compile(op); }, "embed: tokens must be at least 4, got 3");
  op.tokens = whole(4), op.at = places(3);
  expect_refused([&] { compile(op); }, "embed: at must have 4 elements, got 3");
  op.at = {}, op.positions.resize(5);
  expect_refused([&] { compile(op); }, "embed: positions must be 0 to 4, got 5");
  op.positions = {{floats(4), 0, 1}};
  expect_refused([&] { compile(op); }, "embed: extent must be at least 1, got 0");
  op.positions = {{floats(4), 1, 0}};
  expect_refused([&] { compile(op); }, "embed: divisor must be at least 1, got 0");
  op.positions = {{floats(5), 1, 1}};
  expect_refused([&] { compile(op); }, "embed: position must have 4 elements, got 5");
  op.positions.clear(), op.hash.resize(9);
  expect_refused([&] { compile(op); }, "embed: hashes must be 0 to 8, got 9");
  op.hash.resize(1);
  expect_refused([&] { compile(op); }, "embed: buckets must be at least 1, got 0");
  op.buckets = 3;
  expect_refused([&] { compile(op); }, "embed: hash_rows is missing");
  op.hash_rows = whole(4), op.start = floats(4), op.token = floats(8);
  expect_refused([&] { compile(op); }, "embed: hash is missing");
  op.hash.clear(), op.taps = 2;
  expect_refused([&] { compile(op); }, "embed: kernel is missing");
  op.history = 2, op.tokens_stride = 3;
  expect_refused([&] { compile(op); }, "embed: tokens_stride must be at least 4, got 3");
  op.taps = op.history = op.tokens_stride = 0, op.start = op.token = {};
  expect_refused([&] { compile(op); }, "embed: start is missing");
  op.start = floats(4), op.token = floats(7);
  expect_refused([&] { compile(op); }, "embed: token must have 8 elements, got 7");
  op.token = floats(8), op.out = f32(3, 4);
  expect_refused([&] { compile(op); }, "embed: out must be (4, 4), got (3, 4)");
  expect_refused(
      [&] {
        compile(EmbedBackward{op, f32(4, 4), {}, {}, {}, {}, {}});
      },
      "embed_backward: dstart is missing");
}

TEST_P(Ops, VocabularyLossSaysWhatDoesNotFit) {
  VocabularyLoss op;
  op.x = f32(3, 4), op.w = f32(7, 5), op.targets = whole(3), op.losses = floats(3);
  expect_refused([&] { compile(op); }, "vocabulary_loss: w must be (7, 4), got (7, 5)");
  op.w = f32(7, 4), op.dx = f32(3, 4);
  expect_refused([&] { compile(op); }, "vocabulary_loss: dx and dw are given together or not at all");
  op.dx = {}, op.targets = whole(2);
  expect_refused([&] { compile(op); }, "vocabulary_loss: targets must have 3 elements, got 2");
  op.targets = whole(3), op.losses = {};
  expect_refused([&] { compile(op); }, "vocabulary_loss: losses is missing");
}

TEST_P(Ops, AdamWSaysWhatDoesNotFit) {
  AdamW op;
  expect_refused([&] { compile(op); }, "adamw: w is missing");
  op.w = floats(1), op.m = floats(2);
  expect_refused([&] { compile(op); }, "adamw: m must have 1 elements, got 2");
  op.m = op.v = floats(1), op.dw = floats(2);
  expect_refused([&] { compile(op); }, "adamw: dw must have 1 elements, got 2");
  op.dw = floats(1);
  expect_refused([&] { compile(op); }, "adamw: scale is missing");
  op.scale = floats(1), op.row = 2;
  expect_refused([&] { compile(op); }, "adamw: row must be 0 or divide count 1, got 2");
  op.row = 0, op.ema = floats(3);
  expect_refused([&] { compile(op); }, "adamw: ema must have 1 elements, got 3");
}

TEST_P(Ops, ListsOfRowsSayWhatDoesNotFit) {
  const RowList list{places(1), whole(5), floats(10)};
  expect_refused([&] { compile(PackRows{floats(6), {}, 2, list}); }, "pack_rows: from is missing");
  expect_refused(
      [&] {
        compile(PackRows{floats(6), floats(8), 2, list});
      },
      "pack_rows: chosen_by must have 8 elements, got 6");
  expect_refused([&] { compile(PackRows{floats(8), floats(8), 0, list}); }, "pack_rows: row must be at least 1, got 0");
  expect_refused(
      [&] {
        compile(PackRows{floats(8), floats(8), 3, list});
      },
      "pack_rows: row must divide from's count 8, got 3");
  const std::int64_t many = std::int64_t{1} << 31;
  expect_refused(
      [&] {
        compile(PackRows{floats(many), floats(many), 1, list});
      },
      "pack_rows: from must have at most 2147483647 rows, got 2147483648");
  expect_refused(
      [&] {
        compile(PackRows{floats(8), floats(8), 2, {{}, whole(5), floats(10)}});
      },
      "pack_rows: count is missing");
  expect_refused(
      [&] {
        compile(PackRows{floats(8), floats(8), 2, {places(1), {}, floats(10)}});
      },
      "pack_rows: rows is missing");
  expect_refused(
      [&] {
        compile(PackRows{floats(8), floats(8), 2, {places(1), whole(4), floats(10)}});
      },
      "pack_rows: values must have 8 elements, got 10");
  expect_refused([&] { compile(SumRows{floats(8), 2, 0, {}}); }, "sum_rows: needs a power of two of processes, got 1");
  expect_refused(
      [&] {
        compile(SumRows{floats(8), 2, 0, {list, list}});
      },
      "sum_rows: needs a power of two of processes, got 3");
  expect_refused([&] { compile(SumRows{floats(8), 2, 2, {list}}); }, "sum_rows: rank must be in [0, 2), got 2");
  expect_refused([&] { compile(SumRows{floats(8), 2, -1, {list}}); }, "sum_rows: rank must be in [0, 2), got -1");
  expect_refused([&] { compile(SumRows{floats(8), 4, 0, {list}}); }, "sum_rows: values must have 20 elements, got 10");
  expect_refused([&] { compile(SumRows{{}, 2, 0, {list}}); }, "sum_rows: own is missing");
  expect_refused([&] { compile(PutRows{{}, 2, list}); }, "put_rows: to is missing");
  expect_refused([&] { compile(PutRows{floats(8), 1, list}); }, "put_rows: values must have 5 elements, got 10");
}

TEST_P(Ops, ElementOperationsSayWhatDoesNotFit) {
  const Array<double> one = array<double>(nullptr, 1), two = array<double>(nullptr, 2);
  const auto halves = array<std::uint16_t>(nullptr, 3);
  expect_refused([&] { compile(SumBits{{}, one}); }, "sum_bits: losses is missing");
  expect_refused([&] { compile(SumBits{floats(3), two}); }, "sum_bits: sum must have 1 elements, got 2");
  expect_refused([&] { compile(GradientNorm{{}, one, 0, one, floats(1)}); }, "gradient_norm: squares is missing");
  expect_refused(
      [&] {
        compile(GradientNorm{two, two, 0, one, floats(1)});
      },
      "gradient_norm: bits must have 1 elements, got 2");
  expect_refused([&] { compile(GradientNorm{two, {}, 0, {}, floats(1)}); }, "gradient_norm: norm is missing");
  expect_refused([&] { compile(GradientNorm{two, {}, 0, one, {}}); }, "gradient_norm: scale is missing");
  expect_refused(
      [&] {
        compile(GradientNorm{two, {}, -1, one, floats(1)});
      },
      "gradient_norm: clip must be at least 0, got -1.000000");
  expect_refused(
      [&] {
        compile(GradientNorm{two, {}, NAN, one, floats(1)});
      },
      "gradient_norm: clip must be at least 0, got nan");
  expect_refused([&] { compile(Sum{{}, floats(1), floats(1)}); }, "sum: a is missing");
  expect_refused([&] { compile(Sum{floats(2), floats(1), floats(2)}); }, "sum: b must have 2 elements, got 1");
  expect_refused([&] { compile(Sum{floats(2), floats(2), floats(1)}); }, "sum: out must have 2 elements, got 1");
  expect_refused([&] { compile(SquareSums{{}, one}); }, "square_sums: x is missing");
  expect_refused([&] { compile(SquareSums{floats(4096), two}); }, "square_sums: sums must have 1 elements, got 2");
  expect_refused([&] { compile(SquareSums{floats(4097), one}); }, "square_sums: sums must have 2 elements, got 1");
  expect_refused([&] { compile(Zero{}); }, "zero: memory is missing");
  expect_refused([&] { compile(Round{{}, halves}); }, "round: x is missing");
  expect_refused([&] { compile(Round{floats(4), halves}); }, "round: y must have 4 elements, got 3");
  expect_refused([&] { compile(Exchange{{}, floats(1)}); }, "exchange: a is missing");
  expect_refused([&] { compile(Exchange{floats(2), floats(1)}); }, "exchange: b must have 2 elements, got 1");
}

TEST_P(Ops, AttentionSaysWhatDoesNotFit) {
  const Tiling six(parse_pattern("dense"), 6), five(parse_pattern("dense"), 5), seven(parse_pattern("dense"), 7);
  const Tiling* tilings[] = {&six, &six, &six};
  Attention op;
  op.B = 1, op.T = 6, op.H = 2, op.tilings = tilings, op.lse = floats(12);
  const auto of = [&](std::int64_t T, std::int64_t D) { return heads(f32(T, 2 * D), 1, T, 2); };
  op.q = op.k = of(6, 4), op.v = op.out = of(6, 2);
  const auto refused = [&](const std::function<void(Attention&)>& spoil, const std::string& sentence) {
    Attention spoilt = op;
    spoil(spoilt);
    expect_refused([&] { compile(spoilt); }, "attention: " + sentence);
    AttentionBackward backward;
    backward.forward = spoilt;
    expect_refused([&] { compile(backward); }, "attention_backward: " + sentence);
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
  refused([](Attention& a) { a.out.row_stride = a.out.head_stride; }, "out needs a head stride of at least 12, got 2");
  refused([](Attention& a) { a.first = -1; }, "first must be at least 0, got -1");
  refused([](Attention& a) { a.first = 1; }, "queries must lie in [0, 6), got [1, 7)");
  refused([](Attention& a) { a.lse = {}; }, "lse is missing");
  refused([](Attention& a) { a.lse = floats(11); }, "lse must have 12 elements, got 11");
  refused([](Attention& a) { a.scale = NAN; }, "scale must be above 0, got nan");
  refused([](Attention& a) { a.tilings = nullptr; }, "tilings is missing");
  AttentionBackward some;
  some.forward = op, some.forward.q = of(5, 4), some.forward.out = of(5, 2), some.forward.lse = floats(10);
  expect_refused([&] { compile(some); },
                 "attention_backward: needs the queries of whole sequences, [0, 6), got [0, 5)");
  tilings[1] = &five;
  refused([](Attention&) {}, "tiling of head 1 must have length 6, got 5");
  tilings[1] = &seven;
  refused([](Attention&) {}, "tiling of head 1 must have length 6, got 7");
}

TEST_P(Ops, DecodeAttentionSaysWhatDoesNotFit) {
  DecodeAttention good;
  good.H = 2, good.slots = 4, good.groups = 1;
  good.q = good.k = f32(3, 8), good.v = good.out = f32(3, 6), good.keys = f32(8, 4), good.values = f32(8, 3);
  good.sequence = whole(3), good.first_slot = places(2), good.group = whole(2), good.write = good.read = whole(5);
  good.write_begin = good.write_end = good.read_begin = good.read_end = places(3);
  compile(good);
  const auto refused = [&](const std::function<void(DecodeAttention&)>& spoil, const std::string& sentence) {
    DecodeAttention op = good;
    spoil(op);
    expect_refused([&] { compile(op); }, "decode_attention: " + sentence);
  };
  using Op = DecodeAttention;
  refused([](Op& op) { op.H = 3; }, "q and v must be divisible by 3 heads, got widths 8 and 6");
  refused([](Op& op) { op.slots = 0; }, "slots must be at least 1, got 0");
  refused([](Op& op) { op.scale = 0; }, "scale must be above 0, got 0.000000");
  refused([](Op& op) { op.k = f32(2, 8); }, "k must be (3, 8), got (2, 8)");
  refused([](Op& op) { op.out = bf16(3, 6); }, "out must be float32, got bfloat16");
  refused([](Op& op) { op.keys = {}; }, "keys must be at least 4, got 0");
  refused([](Op& op) { op.keys = f32(9, 4); }, "keys must be (8, 4), got (9, 4)");
  refused([](Op& op) { op.values = f32(4, 3); }, "values must be (8, 3), got (4, 3)");
  refused([](Op& op) { op.sequence = whole(2); }, "sequence must have 3 elements, got 2");
  refused([](Op& op) { op.first_slot = {}; }, "first_slot is missing");
  refused([](Op& op) { op.group = whole(1); }, "group must have 2 elements, got 1");
  refused([](Op& op) { op.write_begin = places(2); }, "write_begin must have 3 elements, got 2");
  refused([](Op& op) { op.read_end = {}; }, "read_end is missing");
  refused([](Op& op) { op.write = {}; }, "write is missing");
  refused([](Op& op) { op.read = {}; }, "read is missing");
}

TEST_P(Ops, CacheRowsSaysWhatDoesNotFit) {
  CacheRows good;
  good.H = 2, good.slots = 4, good.groups = 1;
  good.k = f32(3, 8), good.v = f32(3, 6), good.keys = f32(8, 4), good.values = f32(8, 3);
  good.sequence = whole(1), good.first_slot = places(2), good.group = whole(2);
  good.row = places(5), good.slot = whole(5), good.begin = places(2);
  compile(good);
  const auto refused = [&](const std::function<void(CacheRows&)>& spoil, const std::string& sentence) {
    CacheRows op = good;
    spoil(op);
    expect_refused([&] { compile(op); }, "cache_rows: " + sentence);
  };
  using Op = CacheRows;
  refused([](Op& op) { op.H = 3; }, "k and v must be divisible by 3 heads, got widths 8 and 6");
  refused([](Op& op) { op.slots = 0; }, "slots must be at least 1, got 0");
  refused([](Op& op) { op.groups = 0; }, "groups must be at least 1, got 0");
  refused([](Op& op) { op.v = f32(2, 6); }, "v must be (3, 6), got (2, 6)");
  refused([](Op& op) { op.v = bf16(3, 6); }, "v must be float32, got bfloat16");
  refused([](Op& op) { op.keys = f32(3, 4); }, "keys must be at least 4, got 3");
  refused([](Op& op) { op.keys = bf16(8, 4); }, "keys must be float32, got bfloat16");
  refused([](Op& op) { op.values = f32(4, 3); }, "values must be (8, 3), got (4, 3)");
  refused([](Op& op) { op.sequence = whole(3); }, "sequence must have 1 elements, got 3");
  refused([](Op& op) { op.first_slot = {}; }, "first_slot is missing");
  refused([](Op& op) { op.group = whole(1); }, "group must have 2 elements, got 1");
  refused([](Op& op) { op.begin = places(1); }, "begin must have 2 elements, got 1");
  refused([](Op& op) { op.row = {}; }, "row is missing");
  refused([](Op& op) { op.slot = whole(4); }, "slot must have 5 elements, got 4");
}

}  // namespace
}  // namespace longstride::tests
