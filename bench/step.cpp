// How long does a training step take? step [--preset P] [--set key=value]... [--runs R] [--device D]: whole steps
// (passes forward and backward, clipping, update) of one batch of random bytes, dropout as the preset says. Counts the
// multiply-adds that the definition needs: no recomputation, pairs that attend. Short steps follow one another, as in
// training, as many as take a quarter of a second; between such runs the machine's best product is taken, of a card
// once. Prints one JSON line.
#include <CLI/CLI.hpp>
#include <cmath>

#include "harness.h"
#include "longstride/plan.h"
#include "model/network.h"
#include "model/precision.h"
#include "ops/philox.h"
#include "train/state.h"

namespace {

using namespace longstride;

constexpr double kRunSeconds = 0.25;

NetworkShape shape_of(const Config& config, const Plan& plan, DType type) {
  NetworkShape shape{config.training.batch, config.model.context, type, true, plan.recompute == Recompute::block};
  shape.dropout = static_cast<float>(config.model.dropout);
  return shape;
}

struct Step {
  Step(Backend& b, const Config& c, const Plan& plan)
      : backend(b),
        config(c),
        type(type_of(plan.precision)),
        state(b, c.model, c.training, type),
        network(b, c.model, shape_of(c, plan, type), state.weights(), state.outputs()) {
    state.initialise(1);
    const PhiloxKey key = philox_key(1, Purpose::test);
    tokens.resize(static_cast<std::size_t>(c.training.batch * c.model.context));
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<std::int32_t>(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, key)[0] % 256);
  }

  void run() {
    state.begin();
    Pass pass;
    pass.batch = config.training.batch;
    pass.tokens = tokens.data();
    pass.dropout_step = ++steps;
    pass.gradient = 1 / static_cast<float>(tokens.size());
    network.forward_backward(pass);
    sums = state.update(1e-4, steps);
  }

  // The first loss is 8 bits a byte by construction, later ones are near it; gradients are finite and not nothing.
  bool sound() const {
    return std::abs(sums.bits / static_cast<double>(tokens.size()) - 8) < 1 && sums.finite() && sums.norm > 0;
  }

  Backend& backend;
  Config config;
  DType type;
  TrainState state;
  Network network;
  std::vector<std::int32_t> tokens;
  TrainState::Sums sums;
  std::int64_t steps = 0;
};

int measure(const std::string& preset, const std::vector<std::string>& sets, int runs, Device device) {
  Config config = read_config({preset_json(preset)}, {"preset " + preset}, sets);
  config.training.accumulate = 1;
  config.training.device = device;
  const Plan plan = plan_training(config);
  const std::unique_ptr<Backend> backend = make_backend(device);
  Step step(*backend, config, plan);
  step.run();
  if (!step.sound()) {
    std::fprintf(stderr, "step: the step's loss or gradient is wrong, nothing is timed\n");
    return 1;
  }
  const double before = bench::seconds(CLOCK_MONOTONIC);
  step.run();
  const double one_s = bench::seconds(CLOCK_MONOTONIC) - before;
  const auto repeats = static_cast<int>(std::clamp(std::ceil(kRunSeconds / one_s), 1.0, 1000.0));
  const auto steps = [&] {
    for (int i = 0; i < repeats; ++i) step.run();
  };
  const bool bfloat16 = plan.precision == Precision::bfloat16;
  std::vector<double> peaks;  // beside every run: machines are shared
  const bool on_card = plan.device != "cpu";
  const auto peak = [&] {
    peaks.push_back(on_card ? backend->product_rate(step.type) : measure_peak_multiply_adds(bfloat16));
  };
  bench::Times times = bench::alternate({steps, peak}, runs).front();
  bench::divide(times, repeats);
  const double seconds = bench::median(times.wall_s), best = bench::median(peaks);
  const auto needed = static_cast<double>(plan.multiply_adds_per_step);
  bench::print(times, {{"tokens_per_s", static_cast<double>(step.tokens.size()) / seconds},
                       {"multiply_adds", plan.multiply_adds_per_step},
                       {"peak_gflops", 2e-9 * best},
                       {"utilisation", needed / seconds / best},
                       {"preset", preset},
                       {"layers", config.model.layers},
                       {"batch", config.training.batch},
                       {"context", config.model.context},
                       {"precision", bfloat16 ? "bfloat16" : "float32"},
                       {"device", plan.device_name},
                       {"planned_bytes", plan.total_bytes},
                       {"recompute", plan.recompute == Recompute::block},
                       {"peak_resident_bytes", peak_resident_bytes()}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app{"How long does a training step take?"};
  std::string preset = "enwik8";
  std::vector<std::string> sets;
  int runs = 3;
  std::string device = "auto";
  app.add_option("--preset", preset)->capture_default_str();
  app.add_option("--set", sets)->take_all()->expected(1)->allow_extra_args(false);
  app.add_option("--runs", runs)->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--device", device, "auto, cpu, cuda or cuda:K")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const Device chosen = bench::device_of(device);
  try {
    return measure(preset, sets, runs, chosen);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "step: %s\n", error.what());
    return 1;
  }
}
