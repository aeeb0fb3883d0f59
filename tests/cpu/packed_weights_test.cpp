// These tests write weights in every way that there is, and see that a program which keeps them packed notices.
#include "cpu/packed_weights.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cpu/linear.h"
#include "longstride/device.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace longstride::cpu {
namespace {

constexpr std::int64_t kRows = 96, kIn = 40, kOut = 24;  // a whole chunk of rows, and some left
using Values = std::vector<float>;

Values ramp(std::int64_t count, float step) {
  Values values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i % 17 - 8) * step);
  return values;
}

// y = x W^T with weights that are expected to stay, in a program of its own.
class Kept {
 public:
  Kept(Backend& backend, const Matrix& w, std::int64_t rows = kRows)
      : backend_(backend), x_(backend, rows * kIn * 4), y_(backend, rows * kOut * 4) {
    backend.upload(x_.data(), ramp(rows * kIn, 0.25f).data(), x_.bytes());
    Linear op;
    op.x = matrix(x_.data(), DType::float32, rows, kIn);
    op.w = w;
    op.y = matrix(y_.data(), DType::float32, rows, kOut);
    Program program;
    program.add(op);
    again_ = compile_bound(backend, {op});  // packs each time
    program.expect_weights_to_stay();
    kept_ = backend.compile(std::move(program));
    kept_->bind(nullptr);
  }
  Values run() { return result(*kept_); }
  Values expected() { return result(*again_); }

 private:
  Values result(Executable& executable) {
    executable.run();
    Values y(static_cast<std::size_t>(y_.bytes() / 4));
    backend_.download(y.data(), y_.data(), y_.bytes());
    return y;
  }
  Backend& backend_;
  Buffer x_, y_;
  std::unique_ptr<Executable> kept_, again_;
};

struct Case {
  std::unique_ptr<Backend> backend = make_cpu_backend();
  Buffer store{*backend, 2 * kOut* kIn * 4};  // the weights, and as much beside them
  Matrix w = matrix(store.data(), DType::float32, kOut, kIn);
  Array<float> weights = store.floats().from(0, kOut*kIn), beside = store.floats().from(kOut * kIn);
  Case() {
    const Values values = ramp(2 * kOut * kIn, 0.5f);
    backend->upload(store.data(), values.data(), store.bytes());
  }
};

// What is written without the backend's knowledge stays unnoticed: so the weights are packed once, not each time.
TEST(PackedWeights, StayFromRunToRun) {
  Case c;
  Kept kept(*c.backend, c.w);
  const Values before = kept.run();
  EXPECT_EQ(before, kept.expected());
  EXPECT_EQ(kept.run(), before);  // they are kept from the second time on
  c.weights[3] += 1;
  EXPECT_EQ(kept.run(), before);
  EXPECT_NE(kept.expected(), before);
}

TEST(PackedWeights, OfManyRowsArePackedEachTime) {
  Case c;
  Kept kept(*c.backend, c.w, kKeptRows + 1);
  const Values before = kept.run();
  kept.run();
  c.weights[3] += 1;
  EXPECT_NE(kept.run(), before);
}

TEST(PackedWeights, ArePackedAgainWhereTheyWereWritten) {
  struct Write {
    std::string how;
    std::function<void(Case&)> write;
  };
  const auto run = [](Case& c, const Operation& op, const StepInputs& inputs = {}) {
    run_once(*c.backend, op, inputs);
  };
  const auto adamw = [&](Case& c) {
    const std::int64_t count = c.weights.count;
    const Buffer m(*c.backend, count * 4), v(*c.backend, count * 4), scale(*c.backend, 4);
    c.backend->zero(m.data(), m.bytes()), c.backend->zero(v.data(), v.bytes());
    const float one = 1;
    c.backend->upload(scale.data(), &one, 4);
    AdamW op;
    op.w = c.weights, op.m = m.floats(), op.v = v.floats(), op.dw = c.beside, op.scale = scale.floats();
    op.beta1 = 0.9f, op.beta2 = 0.99f, op.epsilon = 1e-8f;
    run(c, op, {.rate = 0.5f, .correction1 = 0.1f, .correction2 = 0.01f});
  };
  const float one = 1;
  const std::vector<Write> ways = {
      {"the first element", [&](Case& c) { c.backend->upload(c.weights.data, &one, 4); }},
      {"the last element", [&](Case& c) { c.backend->upload(&c.weights[c.weights.count - 1], &one, 4); }},
      {"an upload that begins before them and ends behind",
       [](Case& c) {
         const Values values = ramp(2 * kOut * kIn, -1.0f);
         c.backend->upload(c.store.data(), values.data(), c.store.bytes());
       }},
      {"a copy", [](Case& c) { c.backend->copy(c.weights.data, c.beside.data, 8); }},
      {"zeros", [](Case& c) { c.backend->zero(c.weights.data, c.weights.count * 4); }},
      {"an exchange",
       [&](Case& c) {
         run(c, Exchange{c.beside, c.weights});
       }},
      {"an operation's zeros", [&](Case& c) { run(c, Zero{c.weights}); }},
      {"AdamW", adamw},
  };
  for (const Write& way : ways) {
    Case c;
    Kept kept(*c.backend, c.w), other(*c.backend, c.w, kRows - 1);
    const Values before = kept.run(), of_other = other.run();  // each has an order of its own
    kept.run(), other.run();
    way.write(c);
    const Values after = kept.expected();
    EXPECT_NE(after, before) << way.how;
    EXPECT_EQ(kept.run(), after) << way.how;
    EXPECT_EQ(other.run(), other.expected()) << way.how;
    EXPECT_NE(other.run(), of_other) << way.how;
  }
}

TEST(PackedWeights, AreSharedAndNoticeWhatIsWrittenToThemAlone) {
  PackedWeights packed;
  Products products;
  Workspace workspace;
  Values memory = ramp(kOut * kIn, 0.5f);
  const Matrix w = matrix(memory.data(), DType::float32, kOut, kIn);
  const RowProduct product(products, w, true, false, kRows, kIn, DType::float32, kOut);
  const auto copy = packed.copy_of(w, product);
  EXPECT_EQ(packed.copy_of(w, product), copy);  // shared
  const auto bytes = static_cast<std::size_t>(product.packed_bytes());
  const auto packed_now = [&] {
    const Workspace::Scope scope(workspace);
    const auto* data = static_cast<const char*>(copy->of(w, product, workspace));
    return std::string(data, bytes);
  };
  const std::string before = packed_now();
  EXPECT_EQ(packed_now(), before);  // and kept
  memory[5] = 77;
  EXPECT_EQ(packed_now(), before);
  packed.written(memory.data() + kOut * kIn, 400);                    // what lies behind them
  packed.written(reinterpret_cast<char*>(memory.data()) - 400, 400);  // and before
  EXPECT_EQ(packed_now(), before);
  packed.written(memory.data() + 5, 4);
  EXPECT_NE(packed_now(), before);
}

}  // namespace
}  // namespace longstride::cpu
