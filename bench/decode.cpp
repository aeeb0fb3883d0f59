// How long does a decoded token take? decode [--preset P] [--position I] [--batch B] [--prompt N] [--precision T]
// [--set key=value]... [--runs R] [--device D]: single steps of B sequences at position I of a cache that is filled so
// far. First a small model of the same family is decoded and compared with the network's logits. With --prompt N: how
// long do N tokens take to read, through tiles and as rows, beside a forward pass of the network over as many?
//
// The bound is what a step must read: every weight once, and each sequence's keys and values that its query reads. The
// machine's rate of reading memory is measured beside the steps, of a card that of a copy within its memory, bytes read
// and written; a model that fits its caches may exceed the bound. Prints one JSON line.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <optional>

#include "harness.h"
#include "longstride/config.h"
#include "longstride/error.h"
#include "model/engine.h"
#include "model/network.h"
#include "ops/philox.h"

namespace {

using namespace longstride;

// Weights everywhere, also where training starts from zero.
struct Model {
  Model(Backend& backend, const ModelConfig& m, DType t)
      : model(m), table(m), type(t), f32(backend, table.store_elements() * 4) {
    std::vector<float> values(static_cast<std::size_t>(table.store_elements()));
    initialise(table, 1, values.data());
    const PhiloxKey key = philox_key(1, Purpose::test);
    for (std::int64_t e = 0; e < m.vocabulary * m.width; ++e)
      values[static_cast<std::size_t>(table.output_weight + e)] =
          uniform_float(philox({static_cast<std::uint32_t>(e), 0, 0, 0}, key)[0]) - 0.5f;
    backend.upload(f32.data(), values.data(), f32.bytes());
    if (type == DType::float32) return;
    bf16 = Buffer(backend, table.store_elements() * 2);
    run_once(backend, Round{f32.floats(), bf16.halves()});
  }
  Weights weights() const { return {&table, f32.f32(), bf16.bf16()}; }

  ModelConfig model;
  ParameterTable table;
  DType type;
  Buffer f32, bf16;
};

// All of an engine's sequences, at their start.
std::vector<Engine::Next> joined(Engine& engine) {
  std::vector<Engine::Next> next;
  for (std::int64_t b = 0; b < engine.shape().sequences; ++b) next.push_back({engine.join(), -1});
  return next;
}

// Largest distance between the logits of an engine and of the network, over the largest logit; NaN where one is.
double distance_from_network(Backend& backend, const Model& m, std::int64_t B) {
  const std::int64_t T = m.model.context, V = m.model.vocabulary;
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(B * T));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>((i * 7919 + i / 5) % 251);
  Network network(backend, m.model, {B, T, m.type}, m.weights());
  Pass pass;
  pass.batch = B;
  pass.tokens = tokens.data();
  const std::vector<float> expected = network.logits(pass);
  Engine engine(backend, m.model, {B, T, m.type}, m.weights());
  std::vector<Engine::Next> next = joined(engine);
  double worst = 0, largest = 0;
  for (std::int64_t t = 0; t < T; ++t) {
    const float* logits = engine.step(next);
    for (std::int64_t b = 0; b < B; ++b) {
      for (std::int64_t v = 0; v < V; ++v) {
        const double wanted = expected[static_cast<std::size_t>((b * T + t) * V + v)];
        const double distance = std::abs(static_cast<double>(logits[b * V + v]) - wanted);
        if (!(distance <= worst)) worst = distance;
        largest = std::max(largest, std::abs(wanted));
      }
      next[static_cast<std::size_t>(b)].before = tokens[static_cast<std::size_t>(b * T + t)];
    }
  }
  return worst / largest;
}

// The preset's patterns and widths in at most 4 blocks and 200 positions.
ModelConfig small_model(ModelConfig model) {
  model.layers = std::min<std::int64_t>(model.layers, 4);
  model.context = std::min<std::int64_t>(model.context, 200);
  return model;
}

// Keys and values that one step reads, bytes, all sequences.
std::int64_t cache_bytes(const Engine& engine, std::int64_t position) {
  const ModelConfig& model = engine.model();
  const CacheShape memory(model, engine.shape());
  std::int64_t reads = 0;
  for (std::int64_t block = 0; block < model.layers; ++block) {
    for (const std::int32_t index : memory.groups[static_cast<std::size_t>(block) % memory.groups.size()])
      reads += count_keys(memory.patterns[static_cast<std::size_t>(index)], position);
  }
  return engine.shape().sequences * reads * (model.query_head() + model.value_head()) * size_of(engine.shape().type);
}

// Weights of blocks and of the output; of the embeddings a step reads a few rows.
std::int64_t weight_bytes(const Model& m) {
  std::int64_t count = 0;
  for (const Parameter& p : m.table.entries())
    if (p.part != "embeddings") count += p.count;
  return count * size_of(m.type);
}

// Sums a buffer much larger than any cache, on all threads.
class Reader {
 public:
  Reader() : words_(std::size_t{1} << 25, 1) {}
  double bytes() const { return static_cast<double>(words_.size() * sizeof words_[0]); }
  void run() {
    const std::uint64_t* words = words_.data();
    const auto count = static_cast<std::int64_t>(words_.size());
    std::uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum) num_threads(machine_info().threads)
    for (std::int64_t i = 0; i < count; ++i) sum += words[i];
    if (sum != words_.size()) throw std::runtime_error("the sum of a buffer is wrong");
  }

 private:
  std::vector<std::uint64_t> words_;
};

// The same of a card: copies within its memory.
class Copier {
 public:
  explicit Copier(Backend& backend) : backend_(backend), from_(backend, kBytes), to_(backend, kBytes) {
    backend.zero(from_.data(), kBytes);
  }
  double bytes() const { return 2.0 * kBytes; }
  void run() {
    backend_.copy(to_.data(), from_.data(), kBytes);
    backend_.wait();
  }

 private:
  static constexpr std::int64_t kBytes = std::int64_t{1} << 30;
  Backend& backend_;
  Buffer from_, to_;
};

// Tokens of a run, one after another as in sampling: threads of the reader's parallel region, which go on waiting for a
// while, then disturb only the first.
constexpr int kTokensARun = 8;

struct Arguments {
  std::int64_t prompt = 0;  // 0: single steps
  std::string preset = "enwik8", precision = "bfloat16", device = "auto";
  std::vector<std::string> sets;
  std::int64_t position = 256, batch = 1;
  int runs = 15, threads = 0;
};

void measure_prompt(const Arguments& given, Backend& backend, const Model& m) {
  const std::int64_t N = given.prompt;
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(N));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>((i * 7919 + i / 5) % 251);
  Network network(backend, m.model, {1, N, m.type}, m.weights());
  Engine engine(backend, m.model, {1, N + 1, m.type}, m.weights());
  const Engine::Sequence sequence = engine.join();
  const auto read = [&](Engine::Reading reading) {
    engine.restart(sequence);
    if (!std::isfinite(engine.read(sequence, tokens, nullptr, reading)[0]))
      throw std::runtime_error("a logit is not finite");
  };
  Pass pass;
  pass.batch = 1;
  pass.tokens = tokens.data();
  std::vector<float> bits(tokens.size());
  const std::vector<bench::Times> times =
      bench::alternate({[&] { read(Engine::Reading::tiles); }, [&] { network.forward(pass, bits.data()); },
                        [&] { read(Engine::Reading::rows); }},
                       given.runs);
  bench::print(times[0], {{"network_s", bench::median(times[1].wall_s)},
                          {"rows_s", bench::median(times[2].wall_s)},
                          {"network_over_tiles", bench::ratio(times[1].wall_s, times[0].wall_s)},
                          {"network_over_rows", bench::ratio(times[1].wall_s, times[2].wall_s)},
                          {"tokens_per_s", static_cast<double>(N) / bench::median(times[0].wall_s)},
                          {"preset", given.preset},
                          {"layers", m.model.layers},
                          {"width", m.model.width},
                          {"prompt", N},
                          {"precision", given.precision}});
}

int measure(const Arguments& given) {
  set_threads(given.threads);
  const ModelConfig model = read_config({preset_json(given.preset)}, {"preset " + given.preset}, given.sets).model;
  const DType type = given.precision == "bfloat16" ? DType::bfloat16 : DType::float32;
  const std::unique_ptr<Backend> backend = make_backend(bench::device_of(given.device));
  // As in tests/model/engine_test.cpp, for 4 blocks.
  const double tolerance = type == DType::float32 ? 2e-5 : 0.03;
  const double distance = distance_from_network(*backend, Model(*backend, small_model(model), type), 2);
  if (!(distance <= tolerance)) {
    std::fprintf(stderr, "decode: logits are %g off the network's, nothing is timed\n", distance);
    return 1;
  }
  const Model m(*backend, model, type);
  if (given.prompt > 0) {
    measure_prompt(given, *backend, m);
    return 0;
  }
  Engine engine(*backend, model, {given.batch, given.position + 1, type}, m.weights());
  std::vector<Engine::Next> next = joined(engine);
  for (Engine::Next& one : next) one.before = given.position == 0 ? -1 : 32;
  const auto assume = [&] {
    for (const Engine::Next& one : next) engine.assume(one.sequence, given.position);
  };
  assume();
  const auto steps = [&] {
    for (int token = 0; token < kTokensARun; ++token) {
      assume();
      if (!std::isfinite(engine.step(next)[0])) throw std::runtime_error("a logit is not finite");
    }
  };
  std::optional<Reader> reader;
  std::optional<Copier> copier;
  if (backend->facts().device == "cpu")
    reader.emplace();
  else
    copier.emplace(*backend);
  const auto move = [&] { reader ? reader->run() : copier->run(); };
  std::vector<bench::Times> times = bench::alternate({steps, move}, given.runs);
  bench::divide(times[0], kTokensARun);
  const double seconds = bench::median(times[0].wall_s),
               rate = (reader ? reader->bytes() : copier->bytes()) / bench::median(times[1].wall_s);
  const std::int64_t weights = weight_bytes(m), cache = cache_bytes(engine, given.position);
  bench::print(times[0], {{"tokens_per_s", static_cast<double>(given.batch) / seconds},
                          {"bytes_per_token", (weights + cache) / given.batch},
                          {"weight_bytes", weights},
                          {"cache_bytes", cache},
                          {"read_gb_per_s", 1e-9 * rate},
                          {"share_of_bound", static_cast<double>(weights + cache) / rate / seconds},
                          {"preset", given.preset},
                          {"layers", model.layers},
                          {"width", model.width},
                          {"device", backend->facts().name},
                          {"position", given.position},
                          {"batch", given.batch},
                          {"precision", given.precision}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app{"How long does a decoded token take?"};
  Arguments given;
  app.add_option("--preset", given.preset)->capture_default_str();
  app.add_option("--position", given.position)->capture_default_str();
  app.add_option("--prompt", given.prompt, "Tokens to read at once, instead of single steps");
  app.add_option("--batch", given.batch, "Sequences decoded side by side")->capture_default_str();
  app.add_option("--precision", given.precision)->capture_default_str()->check(CLI::IsMember({"float32", "bfloat16"}));
  app.add_option("--set", given.sets)->take_all()->expected(1)->allow_extra_args(false);
  app.add_option("--runs", given.runs)->capture_default_str()->check(CLI::Range(1, 100000));
  app.add_option("--threads", given.threads, "0: every core")->capture_default_str();
  app.add_option("--device", given.device, "auto, cpu, cuda or cuda:K")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return measure(given);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "decode: %s\n", error.what());
    return 1;
  }
}
