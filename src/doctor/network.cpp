// A small network with everything that one can have: its gradients against differences of its loss, its decoding
// against whole passes, and both on any number of threads.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "doctor/computing.h"
#include "longstride/device.h"
#include "model/engine.h"
#include "model/network.h"
#include "model/random_weights.h"
#include "ops/philox.h"

namespace longstride::doctor {

namespace {

ModelConfig small_model() {
  ModelConfig model;
  model.vocabulary = 61;
  model.context = 320;  // a prompt of it is read in tiles
  model.layers = 2;
  model.width = 48;
  model.heads = 4;
  model.feedforward = 2;
  model.query_key = 0.5;
  model.positions = {20, 16};
  model.hash_orders = {1, 3};
  model.hash_buckets = 29;
  model.convolution = 3;
  model.attention = read_attention(R"j([["fixed(16,4)", "strided(17)"], "dense"])j");
  return model;
}

struct Small {
  Small(Backend& on, std::int64_t seed, DType activations)
      : backend(on), table(model), type(activations), store(random_weights(table, seed, 17, 0.3f)) {
    for (Buffer* buffer : {&f32, &gradients}) *buffer = Buffer(backend, table.store_elements() * 4);
    bf16 = Buffer(backend, table.store_elements() * 2);
    load();
    const PhiloxKey key = philox_key(seed, Purpose::test);
    for (std::uint32_t i = 0; i < kSequences * model.context; ++i)
      tokens.push_back(
          static_cast<std::int32_t>(philox({i, 1, 0, 0}, key)[0] % static_cast<std::uint32_t>(model.vocabulary)));
  }
  void load() {  // the store, into the backend's memory
    backend.upload(f32.data(), store.data(), f32.bytes());
    run_once(backend, Round{f32.floats(), bf16.halves()});
  }
  Weights weights() const { return {&table, f32.f32(), bf16.bf16()}; }
  Pass pass() const { return {.batch = kSequences, .tokens = tokens.data()}; }
  Network network(std::int64_t T, bool training) {
    return Network(backend, model, {.batch = kSequences, .tokens = T, .type = type, .training = training}, weights(),
                   training ? TrainingOutputs{{&table, gradients.f32(), nullptr}, {}} : TrainingOutputs{});
  }
  // Of the mean loss in nats of the first T tokens, as many as there are sequences.
  std::vector<float> gradient(std::int64_t T) {
    backend.zero(gradients.data(), gradients.bytes());
    Pass of = pass();
    of.gradient = 1 / static_cast<float>(kSequences * T);
    network(T, true).forward_backward(of);
    std::vector<float> values(store.size());
    backend.wait();
    backend.download(values.data(), gradients.data(), gradients.bytes());
    return values;
  }
  double loss(Network& network) {
    std::vector<float> bits(static_cast<std::size_t>(kSequences * network.shape().tokens));
    network.forward(pass(), bits.data());
    double sum = 0;
    for (const float b : bits) sum += b;
    return sum * std::log(2.0) / static_cast<double>(bits.size());
  }
  std::vector<float> logits() {  // (T, V), of the first sequence
    Network whole = network(model.context, false);
    Pass of = pass();
    of.batch = 1;
    return whole.logits(of);
  }
  // (T - at, V): the first `at` tokens are read at once, the rest one after the other.
  std::vector<float> decoded(std::int64_t at) {
    Engine engine(backend, model, {1, model.context, type}, weights());
    const Engine::Sequence sequence = engine.join();
    std::vector<float> all;
    const auto take = [&](const float* row) { all.insert(all.end(), row, row + model.vocabulary); };
    if (at > 0)
      take(engine.read(sequence, std::span(tokens).first(static_cast<std::size_t>(at)), nullptr,
                       Engine::Reading::tiles));
    for (std::int64_t t = engine.position(sequence); t < model.context; ++t) {
      const Engine::Next next = {sequence, t == 0 ? -1 : tokens[static_cast<std::size_t>(t - 1)]};
      take(engine.step({&next, 1}));
    }
    return all;
  }

  static constexpr std::int64_t kSequences = 2;
  Backend& backend;
  ModelConfig model = small_model();
  ParameterTable table;
  DType type;
  std::vector<float> store;
  Buffer f32, bf16, gradients;
  std::vector<std::int32_t> tokens;
};

// Largest difference of the last elements of `whole` from `found`, by the largest of them; NaN is infinity.
double distance(const std::vector<float>& found, const std::vector<float>& whole) {
  double largest = 0, worst = 0;
  const std::size_t skipped = whole.size() - found.size();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double wanted = whole[skipped + i], off = std::abs(found[i] - wanted);
    largest = std::max(largest, std::abs(wanted));
    worst = std::max(worst, std::isnan(off) ? INFINITY : off);
  }
  return worst / largest;
}

// Along a random direction that goes with the gradient, one a parameter: element e of it is the gradient's, times a
// number in [0.5, 1.5). Central differences of a float32 mean of losses near 4: a step of 0.02 leaves 2e-5 of noise.
Finding gradients_agree(Backend& backend, std::int64_t seed) {
  constexpr std::int64_t kTokens = 80;
  constexpr double kStepLength = 0.02, kNoise = 2e-5, kCurvature = 0.02;
  Small small(backend, seed, DType::float32);
  const std::vector<float> gradient = small.gradient(kTokens);
  Network network = small.network(kTokens, false);
  const PhiloxKey key = philox_key(seed, Purpose::test);
  double worst = 0;
  for (const Parameter& p : small.table.entries()) {
    std::vector<double> direction;
    double length = 0, slope = 0;
    for (std::int64_t e = 0; e < p.count; ++e) {
      const double g = gradient[static_cast<std::size_t>(p.offset + e)];
      direction.push_back(g * (0.5 + uniform_float(philox({static_cast<std::uint32_t>(e), 2, 0, 0}, key)[0])));
      length += direction.back() * direction.back(), slope += g * direction.back();
    }
    if (length == 0) continue;
    length = std::sqrt(length), slope /= length;
    const std::vector<float> before = small.store;
    const auto loss_at = [&](double by) {
      for (std::int64_t e = 0; e < p.count; ++e) {
        const auto at = static_cast<std::size_t>(p.offset + e);
        small.store[at] = static_cast<float>(before[at] + by * direction[static_cast<std::size_t>(e)] / length);
      }
      small.load();
      return small.loss(network);
    };
    const double difference = (loss_at(kStepLength) - loss_at(-kStepLength)) / (2 * kStepLength);
    small.store = before;
    const double off = std::abs(difference - slope) / (kCurvature * slope + kNoise);
    if (!(off <= 1))
      return {.verdict = Verdict::wrong,
              .sentence = fmt::format("the loss changes by {:.6g} along the gradient of {}, which says {:.6g}",
                                      difference, p.name, slope)};
    worst = std::max(worst, off);
  }
  return {
      .sentence = fmt::format("all {} parameters' agree with differences of the loss; errors are at most {:.0f}% of "
                              "what the differences may be off by",
                              small.table.entries().size(), 100 * worst),
      .figures = {{"share_of_bound", worst}}};
}

// Bounds: as in tests/model, where they are derived; two layers, so that three layers' cover them.
Finding decoding_agrees(Backend& backend, std::int64_t seed) {
  std::string sentence;
  std::vector<std::pair<std::string, double>> figures;
  for (const auto& [type, most] : {std::pair(DType::float32, 2e-5), std::pair(DType::bfloat16, 0.03)}) {
    Small small(backend, seed, type);
    const std::vector<float> whole = small.logits();
    const std::string name = type == DType::float32 ? "float32" : "bfloat16";
    for (const std::int64_t at : {0, 290}) {
      const double off = distance(small.decoded(at), whole);
      const std::string how = at == 0 ? "token by token" : "after a prompt read at once";
      if (!(off <= most))
        return {.verdict = Verdict::wrong,
                .sentence = fmt::format("{}: logits {} differ from those of a whole pass by {:.2g} of the largest, "
                                        "rounding explains {:.2g}",
                                        name, how, off, most)};
      figures.emplace_back(name + (at == 0 ? "_by_token" : "_after_prompt"), off);
    }
    sentence += (sentence.empty() ? "" : ", ") + fmt::format("{} {:.1e}", name, figures.back().second);
  }
  return {.sentence = "logits with a cache are those of a whole pass to rounding, of the largest: " + sentence,
          .figures = figures};
}

Finding threads_agree(Backend& backend, std::int64_t seed, int most_threads) {
  for (const DType type : {DType::float32, DType::bfloat16}) {
    Small small(backend, seed, type);
    std::vector<std::vector<float>> first;
    for (int threads = 1; threads <= most_threads; ++threads) {
      set_threads(threads);
      const std::vector<std::vector<float>> now = {small.gradient(small.model.context), small.logits(),
                                                   small.decoded(290)};
      if (first.empty()) first = now;
      for (std::size_t i = 0; i < now.size(); ++i) {
        if (now[i] == first[i]) continue;
        constexpr const char* kNames[] = {"gradients", "logits", "decoded logits"};
        return {.verdict = Verdict::wrong,
                .sentence = fmt::format("{} threads give other {} than one", threads, kNames[i])};
      }
    }
  }
  return {.sentence = fmt::format("1 to {} threads give the same bits: gradients, logits, decoding", most_threads),
          .figures = {{"most_threads", most_threads}}};
}

}  // namespace

std::vector<Finding> examine_network(Backend& backend, const DoctorOptions& options) {
  const ThreadsKept kept;
  Findings findings(options, &backend);
  findings.look("gradients", [&] { return gradients_agree(backend, options.seed); });
  findings.look("decoding", [&] { return decoding_agrees(backend, options.seed); });
  findings.look("threads", [&] { return threads_agree(backend, options.seed, kept.at_least_two()); });
  return findings.all();
}

}  // namespace longstride::doctor
