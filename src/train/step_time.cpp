// measure_step of longstride/plan.h. A step that is short is taken. Of a longer one there are taken: passes of one and
// of three blocks without their attention, over as many tokens as a moment allows, which give what a token costs beside
// the blocks and in each; the updates of their weights, which do not depend on tokens; and the attention of each
// pattern by itself, one head of it, for the pairs that it has.
#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "longstride/error.h"
#include "longstride/plan.h"
#include "model/network.h"
#include "model/precision.h"
#include "ops/backend.h"
#include "ops/philox.h"
#include "train/multiply_adds.h"
#include "train/state.h"

namespace longstride {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kPass_s = 1;           // of a pass that is measured, at most: in a short one weights cost too much
constexpr double kMoment_s = 0.3;       // what is shorter is measured for so long
constexpr double kHeadMoment_s = 0.05;  // of one head's attention
constexpr double kUsualShare = 0.4;     // of the best product's rate that passes reach, to choose sizes by
constexpr int kTimes = 3, kMostTimes = 100;

double seconds_since(Clock::time_point before) { return std::chrono::duration<double>(Clock::now() - before).count(); }

double middle(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

// Calls action once uncounted, then three times at least, and what is short as often as a moment takes: training meets
// it right after itself too.
void repeat(double moment_s, const std::function<void()>& action, const std::function<void()>& begin_to_count) {
  action();
  begin_to_count();
  const Clock::time_point before = Clock::now();
  for (int time = 0; time < kTimes || (time < kMostTimes && seconds_since(before) < moment_s); ++time) action();
}

// The middle one.
double seconds_of(const std::function<void()>& action) {
  std::vector<double> times;
  const auto timed = [&] {
    const Clock::time_point before = Clock::now();
    action();
    times.push_back(seconds_since(before));
  };
  repeat(kHeadMoment_s, timed, [&] { times.clear(); });
  return middle(std::move(times));
}

// Seconds of one pass forward and backward, and of what a step does once: it makes gradients zero and updates.
struct StepTimes {
  double pass_s = 0, update_s = 0;
};

// Tokens at random, so that hashes of them lie anywhere in their tables.
std::vector<std::int32_t> random_tokens(const Config& config) {
  const PhiloxKey key = philox_key(1, Purpose::test);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(config.training.batch * config.model.context));
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = static_cast<std::int32_t>(philox({static_cast<std::uint32_t>(i), 0, 0, 0}, key)[0] %
                                          static_cast<std::uint32_t>(config.model.vocabulary));
  return tokens;
}

StepTimes time_step(Backend& backend, const Config& config, const Plan& plan) {
  const DType type = type_of(plan.precision);
  NetworkShape shape{config.training.batch, config.model.context, type, true, plan.recompute == Recompute::block};
  shape.dropout = static_cast<float>(config.model.dropout);
  TrainState state(backend, config.model, config.training, type);
  state.initialise(1);
  Network network(backend, config.model, shape, state.weights(), state.outputs());
  const std::vector<std::int32_t> tokens = random_tokens(config);
  Pass pass;
  pass.batch = config.training.batch;
  pass.tokens = tokens.data();
  pass.gradient = 1 / static_cast<float>(tokens.size());
  std::vector<double> passes, updates;
  const auto step = [&] {
    const Clock::time_point begun = Clock::now();
    state.begin();
    const double begin_s = seconds_since(begun);
    network.forward_backward(pass);
    backend.wait();
    const double passed_s = seconds_since(begun);
    state.update(0, 1);
    passes.push_back(passed_s - begin_s);
    updates.push_back(seconds_since(begun) - passes.back());
    ++pass.dropout_step;
  };
  repeat(kMoment_s, step, [&] { passes.clear(), updates.clear(); });
  return {middle(std::move(passes)), middle(std::move(updates))};
}

// Passes and updates of all blocks without attention, for one step.
double dense_seconds(Backend& backend, const Config& config, const Plan& plan, double rate) {
  constexpr std::int64_t kFewTokens = 256, kFewLayers = 1, kMoreLayers = 3;
  const std::int64_t more_layers = std::min(kMoreLayers, config.model.layers);  // what the run needs suffices
  Config piece = config;
  piece.model.attention = read_attention("local(1)");
  piece.model.layers = more_layers;
  const auto seconds = [&] {
    return static_cast<double>(piece.training.batch) * 3 * forward_multiply_adds(piece.model) / rate;
  };
  while (piece.training.batch > 1 && seconds() > kPass_s) piece.training.batch /= 2;
  while (piece.model.context > kFewTokens && seconds() > kPass_s) piece.model.context /= 2;
  const StepTimes more = time_step(backend, piece, plan);
  piece.model.layers = kFewLayers;
  const StepTimes few = more_layers == kFewLayers ? more : time_step(backend, piece, plan);
  const auto of_all_layers = [&](double few_s, double more_s) {
    if (more_layers == kFewLayers) return few_s;
    return few_s + (more_s - few_s) * static_cast<double>(config.model.layers - kFewLayers) /
                       static_cast<double>(more_layers - kFewLayers);
  };
  const double windows = static_cast<double>(config.training.batch * config.training.accumulate),
               measured = static_cast<double>(piece.training.batch * piece.model.context);
  return windows * static_cast<double>(config.model.context) / measured * of_all_layers(few.pass_s, more.pass_s) +
         of_all_layers(few.update_s, more.update_s);
}

// Attention forward and backward of one head over one window; with recomputation forward once more.
double head_seconds(Backend& backend, const Config& config, const Plan& plan, const Pattern& pattern, double rate) {
  constexpr std::int64_t kFewTokens = 1024;
  const std::int64_t Dq = config.model.query_head(), Dv = config.model.value_head();
  const auto pairs = [&](std::int64_t tokens) { return static_cast<double>(count_pairs(pattern, tokens)); };
  std::int64_t T = config.model.context;
  while (T > kFewTokens && 3 * pairs(T) * static_cast<double>(Dq + Dv) / rate > kHeadMoment_s) T /= 2;
  const Tiling tiling(pattern, T);
  const Tiling* const tilings[] = {&tiling};
  const DType type = type_of(plan.precision);
  std::vector<Buffer> memory;
  const auto zeros = [&](std::int64_t bytes) {
    memory.emplace_back(backend, bytes);
    backend.zero(memory.back().data(), bytes);
    return memory.back().data();
  };
  const auto head = [&](std::int64_t D) { return heads(matrix(zeros(T * D * size_of(type)), type, T, D), 1, T, 1); };
  Attention forward;
  forward.B = 1, forward.T = T, forward.H = 1, forward.tilings = tilings;
  forward.q = head(Dq), forward.k = head(Dq), forward.v = head(Dv), forward.out = head(Dv);
  forward.lse = array(static_cast<float*>(zeros(T * 4)), T);
  const AttentionBackward backward{forward, head(Dv), head(Dq), head(Dq), head(Dv)};
  const auto seconds = [&](Operation operation) {
    const std::unique_ptr<Executable> executable = compile_bound(backend, {std::move(operation)});
    return seconds_of([&] {
      executable->run();
      backend.wait();
    });
  };
  const double forward_s = seconds(forward) * (plan.recompute == Recompute::block ? 2 : 1);
  return (forward_s + seconds(backward)) * pairs(config.model.context) / std::max(1.0, pairs(T));
}

double attention_seconds(Backend& backend, const Config& config, const Plan& plan, double rate) {
  std::map<std::string, double> known;  // seconds by what a head reads, whichever sub-block of a summary it owns
  double sum = 0;
  each_head(config.model, [&](const Pattern& pattern, std::int64_t blocks) {
    Pattern alike = pattern;
    for (Part& part : alike.parts) part.block = 0;
    const auto [found, is_new] = known.try_emplace(to_string(alike), 0);
    if (is_new) found->second = head_seconds(backend, config, plan, pattern, rate);
    sum += static_cast<double>(blocks) * found->second;
  });
  return static_cast<double>(config.training.batch * config.training.accumulate) * sum;
}

double seconds_of_step(const Config& asked, const Plan& plan) {
  const std::unique_ptr<Backend> backend = make_backend(asked.training.device);
  Config config = asked;
  config.training.lanes = 1;  // sums of their own cost next to nothing
  const double rate = kUsualShare * backend->product_rate(type_of(plan.precision));
  const auto passes = static_cast<double>(config.training.accumulate);
  if (static_cast<double>(plan.multiply_adds_per_step) / passes / rate <= kPass_s) {
    const StepTimes whole = time_step(*backend, config, plan);
    return passes * whole.pass_s + whole.update_s;
  }
  if (backend->facts().device != "cpu") return 0;
  return dense_seconds(*backend, config, plan, rate) + attention_seconds(*backend, config, plan, rate);
}

}  // namespace

// The pieces come on top of what the process has by then, and libraries ask for memory of their own.
double measure_step(const Config& config, const Plan& plan) {
  try {
    return seconds_of_step(config, plan);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::exhausted) throw;
  } catch (const std::bad_alloc&) {
  }
  return 0;
}

}  // namespace longstride
