// This compiles the passes of a network, places them in one arena, and runs them on tokens of the host.
#include "model/network.h"

#include <algorithm>
#include <numbers>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"
#include "model/hashes.h"

namespace longstride {

namespace {

void check_shape(const ModelConfig& model, const NetworkShape& shape) {
  check(model);
  if (shape.tokens < 1 || shape.tokens > model.context)
    throw_invalid(fmt::format("network: needs 1 to {} tokens, got {}", model.context, shape.tokens));
}

}  // namespace

Network::Network(Backend& backend, const ModelConfig& model, const NetworkShape& shape, const Weights& weights,
                 const TrainingOutputs& outputs)
    : backend_(backend),
      model_(model),
      shape_(shape),
      weights_(weights),
      tilings_((check_shape(model, shape), model), shape.tokens),
      arena_(backend) {
  if (!shape.training) return;
  training_ = compile(training_program(model_, shape, weights_, outputs, tilings_), arena_);
  scoring(shape.batch);  // what a run needs is taken before its first step
}

Network::Bytes Network::bytes(Backend& backend, const ModelConfig& model, const NetworkShape& shape) {
  check_shape(model, shape);
  const ParameterTable table(model);
  const HeadTilings tilings(model, shape.tokens);
  const Weights weights{&table, nullptr, nullptr};
  Bytes bytes;
  const auto take = [&](NetworkProgram made) {
    const std::unique_ptr<Executable> executable = backend.compile(std::move(made.program));
    bytes.activations = std::max(bytes.activations, executable->arena_bytes());
    bytes.workspace = std::max(bytes.workspace, executable->workspace_bytes());
  };
  take(loss_program(model, shape, shape.batch, weights, tilings));
  if (shape.training) take(training_program(model, shape, weights, {weights, array<double>(nullptr, 1)}, tilings));
  return bytes;
}

Network::Compiled Network::compile(NetworkProgram made, ProgramArena& arena) {
  Program program = std::move(made.program);
  return {std::move(made), arena.add(std::move(program))};
}

Network::Compiled& Network::scoring(std::int64_t batch) {
  if (const auto found = scoring_.find(batch); found != scoring_.end()) return found->second;
  Compiled made = compile(loss_program(model_, shape_, batch, weights_, tilings_), arena_);
  return scoring_.emplace(batch, std::move(made)).first->second;
}

void Network::require_batch(const Pass& pass) const {
  if (pass.batch >= 1 && pass.batch <= shape_.batch) return;
  throw_invalid(fmt::format("network: needs 1 to {} sequences, got {}", shape_.batch, pass.batch));
}

void Network::load(const Compiled& to, const Pass& pass) {
  const std::int64_t T = shape_.tokens, N = pass.batch * T;
  const auto orders = static_cast<std::int64_t>(model_.hash_orders.size());
  shifted_.resize(static_cast<std::size_t>(N));
  targets_.resize(static_cast<std::size_t>(N));
  hash_rows_.resize(static_cast<std::size_t>(N * orders));
  for (std::int64_t row = 0; row < N; ++row) {
    const std::int32_t token = pass.tokens[row];
    if (token < 0 || token >= model_.vocabulary)
      throw_invalid(fmt::format("network: token {} is outside the vocabulary of {}", token, model_.vocabulary));
    const auto at = static_cast<std::size_t>(row);
    shifted_[at] = row % T == 0 ? -1 : pass.tokens[row - 1];
    hash_rows(model_, pass.tokens + row, row % T, hash_rows_.data() + row, N);
    targets_[at] = pass.scored == nullptr || pass.scored[row] != 0 ? token : -1;
  }
  const Program& program = to.executable->program();
  const auto upload = [&](const Array<std::int32_t>& view, const std::vector<std::int32_t>& values) {
    if (view) backend_.upload(program.bound(view).data, values.data(), view.count * 4);
  };
  upload(to.made.tokens, shifted_);
  upload(to.made.targets, targets_);
  upload(to.made.hash_rows, hash_rows_);
}

void Network::store_bits(const Compiled& from, const Pass& pass, float* bits) {
  backend_.wait();
  const std::int64_t rows = pass.batch * shape_.tokens;
  backend_.download(bits, from.executable->program().bound(from.made.losses).data, rows * 4);  // nats
  for (std::int64_t row = 0; row < rows; ++row) bits[row] = static_cast<float>(bits[row] / std::numbers::ln2);
}

void Network::forward(const Pass& pass, float* bits) {
  require_batch(pass);
  Compiled& program = scoring(pass.batch);
  load(program, pass);
  program.executable->run({.dropout_step = pass.dropout_step});
  store_bits(program, pass, bits);
}

void Network::forward_backward(const Pass& pass, float* bits, const Executable::AtMark& at_mark) {
  if (!shape_.training) throw_invalid("network: made without gradients, cannot train");
  if (pass.batch != shape_.batch)
    throw_invalid(fmt::format("network: trains on {} sequences at a time, got {}", shape_.batch, pass.batch));
  load(training_, pass);
  training_.executable->run({.dropout_step = pass.dropout_step, .loss_gradient = pass.gradient}, at_mark);
  if (bits != nullptr) store_bits(training_, pass, bits);
}

std::vector<float> Network::logits(const Pass& pass) {
  require_batch(pass);
  ProgramArena arena(backend_);  // for as long as this takes
  Compiled program = compile(logits_program(model_, shape_, pass.batch, weights_, tilings_), arena);
  load(program, pass);
  program.executable->run({.dropout_step = pass.dropout_step});
  backend_.wait();
  const Matrix logits = program.executable->program().bound(program.made.logits);
  std::vector<float> host(static_cast<std::size_t>(logits.rows * logits.cols));
  backend_.download(host.data(), logits.data, logits.rows * logits.cols * 4);
  return host;
}

void Network::watch(const Pass& pass, const Look& look) {
  if (pass.batch != shape_.batch)
    throw_invalid(fmt::format("network: watches {} sequences at a time, got {}", shape_.batch, pass.batch));
  if (!watched_.executable) watched_ = compile(watched_program(model_, shape_, weights_, tilings_), arena_);
  load(watched_, pass);
  const std::span<const Operation> operations = watched_.executable->program().operations();
  watched_.executable->run({.dropout_step = pass.dropout_step}, [&](const Mark& mark) {
    backend_.wait();
    look(mark.block, std::get<Attention>(operations[watched_.made.attentions[static_cast<std::size_t>(mark.block)]]));
  });
}

}  // namespace longstride
