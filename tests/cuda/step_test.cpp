// These tests train a network without attention: embedding, norms, a feedforward layer, the loss, their gradients and AdamW
// in one program, on a card's twin and on the processor.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cuda/host/interpreter.h"
#include "host_matrix.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace longstride::tests {
namespace {

constexpr std::int64_t B = 2, T = 21, N = B * T, C = 24, F = 40, V = 17;
constexpr std::int64_t kParameters = C + 2 * V * C + T * C + 4 * C + 2 * F * C + F + C;

// One step as a program, and what the host writes and reads of it.
class Step {
 public:
  Step(Backend& backend, DType type) : backend_(backend), type_(type) {
    lay_out_parameters();
    add_forward();
    add_backward();
    add_update();
    executable_ = backend.compile(std::move(program_));
    arena_ = Buffer(backend, executable_->arena_bytes());
    executable_->bind(arena_.data());
    begin();
  }

  // Bits of all steps, then the weights.
  definitions::Values run(int steps) {
    for (int s = 0; s < steps; ++s) {
      StepInputs inputs{.dropout_step = s, .loss_gradient = 1.0f / N, .rate = 0.02f};
      inputs.correction1 = 1 - std::pow(0.9f, static_cast<float>(s + 1));
      inputs.correction2 = 1 - std::pow(0.99f, static_cast<float>(s + 1));
      executable_->run(inputs, [&](const Mark& mark) { marks_.push_back(mark.block); });
    }
    backend_.wait();
    definitions::Values all = read(bits_);
    append(all, read(weights_));
    return all;
  }
  const std::vector<std::int64_t>& marks() const { return marks_; }

 private:
  struct Parameter {
    Array<float> w, dw;
    Array<std::uint16_t> copy;
  };
  Parameter parameter(std::int64_t count) {
    Parameter made{weights_.from(next_, count), gradients_.from(next_, count), copies_.from(next_, count)};
    next_ += count;
    return made;
  }
  Matrix typed(const Parameter& of, std::int64_t rows, std::int64_t cols) const {
    const Place place = type_ == DType::float32 ? of.w.place : of.copy.place;
    return {nullptr, type_, rows, cols, cols, place};
  }
  static Matrix gradient(const Parameter& of, std::int64_t rows, std::int64_t cols) {
    return {nullptr, DType::float32, rows, cols, cols, of.dw.place};
  }
  Array<float> floats(const char* name, std::int64_t count) {
    return program_.array<float>(name, Life::lasting, count);
  }
  Matrix made(const char* name, std::int64_t cols) { return program_.matrix(name, Life::passing, type_, N, cols); }
  Matrix wide(const char* name) { return program_.matrix(name, Life::passing, DType::float32, N, C); }

  void lay_out_parameters() {
    weights_ = floats("weights", kParameters), gradients_ = floats("gradients", kParameters);
    first_ = floats("m", kParameters), second_ = floats("v", kParameters);
    copies_ = program_.array<std::uint16_t>("copies", Life::lasting, kParameters);
    start_ = parameter(C), token_ = parameter(V * C), position_ = parameter(T * C);
    for (Parameter* one : {&norm1_w_, &norm1_b_, &norm2_w_, &norm2_b_}) *one = parameter(C);
    expand_ = parameter(F * C), expand_b_ = parameter(F), contract_ = parameter(C * F), contract_b_ = parameter(C);
    output_ = parameter(V * C);
    EXPECT_EQ(next_, kParameters);
    tokens_ = program_.array<std::int32_t>("tokens", Life::lasting, N);
    targets_ = program_.array<std::int32_t>("targets", Life::lasting, N);
    bits_ = program_.array<double>("bits", Life::lasting, 1);
  }

  void add_forward() {
    h0_ = wide("h0"), h1_ = wide("h1"), y1_ = made("y1", C), y2_ = made("y2", C);
    for (Array<float>* one : {&mean1_, &rstd1_, &mean2_, &rstd2_, &losses_}) *one = floats("of rows", N);
    pre_ = made("pre", F), active_ = made("active", F);
    const Matrix branch = made("branch", C);
    embed_.B = B, embed_.T = T, embed_.V = V, embed_.tokens = tokens_, embed_.start = start_.w, embed_.token = token_.w;
    embed_.positions = {{position_.w, T, 1}};
    embed_.out = h0_;
    program_.add(Zero{gradients_});
    program_.add(embed_);
    program_.add(ResidualNorm{h0_, {}, {}, {}, norm1_w_.w, norm1_b_.w, 1e-5f, y1_, mean1_, rstd1_});
    program_.add(Linear{y1_, typed(expand_, F, C), expand_b_.w, Activation::gelu_sigmoid, pre_, active_});
    program_.add(Linear{active_, typed(contract_, C, F), contract_b_.w, Activation::none, {}, branch});
    program_.add(ResidualNorm{h0_, branch, dropout_, h1_, norm2_w_.w, norm2_b_.w, 1e-5f, y2_, mean2_, rstd2_});
  }

  void add_backward() {
    const Matrix dy2 = made("dy2", C), dbranch = made("dbranch", C), dactive = made("dactive", F), dy1 = made("dy1", C);
    const Matrix dh1 = wide("dh1"), dh0 = wide("dh0");
    program_.add(VocabularyLoss{y2_, typed(output_, V, C), targets_, losses_, dy2, gradient(output_, V, C)});
    program_.add(SumBits{losses_, bits_});
    program_.add(ResidualNormBackward{dy2, h1_, mean2_, rstd2_, norm2_w_.w, {}, dh1, dbranch, dropout_, norm2_w_.dw,
                                      norm2_b_.dw});
    program_.add(LinearBackwardWeights{dbranch, active_, gradient(contract_, C, F), contract_b_.dw});
    program_.add(LinearBackwardData{dbranch, typed(contract_, C, F), pre_, dactive});
    program_.add(Mark{Mark::What::gradient_final, 1, 0, 0});
    program_.add(LinearBackwardWeights{dactive, y1_, gradient(expand_, F, C), expand_b_.dw});
    program_.add(LinearBackwardData{dactive, typed(expand_, F, C), {}, dy1});
    program_.add(
        ResidualNormBackward{dy1, h0_, mean1_, rstd1_, norm1_w_.w, dh1, dh0, {}, {}, norm1_w_.dw, norm1_b_.dw});
    Embed forward = embed_;
    forward.out = {};
    program_.add(EmbedBackward{forward, dh0, start_.dw, token_.dw, {position_.dw}, {}, {}});
    program_.add(Mark{Mark::What::gradient_final, 0, 0, 0});
  }

  void add_update() {
    const Array<double> squares = program_.array<double>("squares", Life::passing, square_sums_of(kParameters));
    const Array<double> norm = program_.array<double>("norm", Life::passing, 1);
    const Array<float> scale = floats("scale", 1);
    program_.add(SquareSums{gradients_, squares});
    program_.add(GradientNorm{squares, bits_, 1, norm, scale});
    AdamW update{weights_, first_, second_, gradients_, {}, copies_, scale};
    update.beta1 = 0.9f, update.beta2 = 0.99f, update.epsilon = 1e-2f, update.decay = 0.01f;
    program_.add(update);
  }

  void begin() {
    std::vector<float> weights = random_floats(kParameters, 7);
    std::vector<std::uint16_t> copies;
    for (const float w : weights) copies.push_back(bfloat16_from_float(w));
    std::vector<std::int32_t> tokens, targets;
    for (std::int64_t r = 0; r < N; ++r) {
      tokens.push_back(r % T == 0 ? -1 : static_cast<std::int32_t>(r * 5 % V));
      targets.push_back(r % 6 == 3 ? -1 : static_cast<std::int32_t>((r + 1) * 5 % V));
    }
    write(weights_, weights), write(copies_, copies), write(tokens_, tokens), write(targets_, targets);
    for (const Array<float>& zeros : {first_, second_}) write(zeros, std::vector<float>(kParameters));
    write(bits_, std::vector<double>(1));
  }
  template <class E>
  void write(const Array<E>& to, const std::vector<E>& from) {
    const Array<E> at = executable_->program().bound(to);
    backend_.upload(at.data, from.data(), bytes_of(at));
  }
  template <class E>
  definitions::Values read(const Array<E>& from) {
    const Array<E> at = executable_->program().bound(from);
    std::vector<E> host(static_cast<std::size_t>(at.count));
    backend_.download(host.data(), at.data, bytes_of(at));
    return {host.begin(), host.end()};
  }

  Backend& backend_;
  DType type_;
  Program program_;
  std::int64_t next_ = 0;
  Array<float> weights_, gradients_, first_, second_, mean1_, rstd1_, mean2_, rstd2_, losses_;
  Array<std::uint16_t> copies_;
  Array<std::int32_t> tokens_, targets_;
  Array<double> bits_;
  Parameter start_, token_, position_, norm1_w_, norm1_b_, norm2_w_, norm2_b_, expand_, expand_b_, contract_,
      contract_b_, output_;
  Matrix h0_, h1_, y1_, y2_, pre_, active_;
  Embed embed_;
  const Dropout dropout_{0.2f, 42, 3, 1};
  std::unique_ptr<Executable> executable_;
  Buffer arena_;
  std::vector<std::int64_t> marks_;
};

constexpr int kSteps = 3;

TEST(StepOnACard, TrainsAsOnTheProcessor) {
  for (const DType type : kTypes) {
    const auto card = make_backend(Device::cuda), processor = make_backend(Device::cpu);
    Step on_card(*card, type), on_processor(*processor, type);
    const definitions::Values got = on_card.run(kSteps), want = on_processor.run(kSteps);
    // Steps of at most the rate 0.02 a weight: what rounding does to a gradient moves a weight by a share of it.
    expect_close(got, want, type == DType::float32 ? 2e-5 : 1e-2, type == DType::float32 ? 1e-5 : 1e-2, word(type));
    EXPECT_EQ(on_card.marks(), (std::vector<std::int64_t>{1, 0, 1, 0, 1, 0}));
  }
}

TEST(StepOnACard, GivesTheSameBitsInEveryOrderOfThreadsAndBlocks) {
  for (const DType type : kTypes) {
    definitions::Values first;
    for (const std::uint64_t seed : {1, 1000, 2000}) {
      cuda::host::set_seed(seed);
      const auto card = make_backend(Device::cuda);
      const definitions::Values got = Step(*card, type).run(kSteps);
      if (first.empty()) first = got;
      expect_same_bits(got, first, word(type) + " under seed " + std::to_string(seed));
    }
  }
}

}  // namespace
}  // namespace longstride::tests
