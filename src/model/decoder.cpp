// Decoder of longstride/model.h: an engine whose places are handles, and whose first positions are decoded unasked.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/error.h"
#include "longstride/model.h"
#include "model/engine.h"
#include "model/held_model.h"

namespace longstride {
namespace {

[[noreturn]] void fail(const std::string& sentence) { throw_invalid("decoder: " + sentence); }

EngineShape engine_shape(const HeldModel& held, const DecoderOptions& options) {
  const std::int64_t context = held.model().context;
  if (options.sequences < 1 || options.sequences > kMostSequences)
    fail(fmt::format("needs 1 to {} sequences, got {}", kMostSequences, options.sequences));
  if (options.length < 0 || options.length > context) {
    fail(fmt::format("needs a length of 1 to {} tokens, or 0 for the model's context, got {}", with_commas(context),
                     options.length));
  }
  return {options.sequences, options.length == 0 ? context : options.length, held.type};
}

}  // namespace

struct Decoder::State {
  State(std::shared_ptr<HeldModel> model, const DecoderOptions& options)
      : held(std::move(model)),
        engine(*held->backend, held->model(), engine_shape(*held, options), held->weights(held->type)),
        reading(options.exact ? Engine::Reading::rows : Engine::Reading::tiles) {}

  // Position p reads the token p - 1, position 0 the start.
  std::int64_t tokens_read(std::int32_t place) const { return std::max<std::int64_t>(0, engine.position(place) - 1); }

  std::int32_t join() {
    if (joined == engine.shape().sequences) {
      fail(fmt::format("has no room beside its {} sequence{}; one must leave before another joins", joined,
                       joined == 1 ? "" : "s"));
    }
    const std::int32_t place = engine.join();
    ++joined;
    return place;
  }
  void leave(std::int32_t place) {
    engine.leave(place);
    --joined;
  }

  void check_room(std::int32_t place, std::int64_t more) const {
    const std::int64_t read = tokens_read(place), length = engine.shape().length;
    if (read + more < length) return;
    fail(
        fmt::format("a sequence of {} tokens has room for {} more, got {} (its length is {}, of which the last is only "
                    "predicted)",
                    with_commas(read), with_commas(length - 1 - read), with_commas(more), with_commas(length)));
  }

  std::shared_ptr<HeldModel> held;
  Engine engine;
  Engine::Reading reading;
  std::int64_t joined = 0;
};

Decoder::Sequence::Sequence(std::shared_ptr<State> state, std::int32_t place)
    : state_(std::move(state)), place_(place) {}
Decoder::Sequence::Sequence(Sequence&& other) noexcept : place_(other.place_) { state_.swap(other.state_); }
Decoder::Sequence& Decoder::Sequence::operator=(Sequence&& other) noexcept {
  if (this == &other) return *this;
  leave();
  state_.swap(other.state_);
  place_ = other.place_;
  return *this;
}
Decoder::Sequence::~Sequence() { leave(); }

bool Decoder::Sequence::left() const { return state_ == nullptr; }

void Decoder::Sequence::leave() {
  if (state_ == nullptr) return;
  state_->leave(place_);
  state_.reset();
}

Decoder::State& Decoder::Sequence::state() const {
  if (state_ == nullptr) fail("the sequence has left");
  return *state_;
}

std::int64_t Decoder::Sequence::tokens_read() const { return state().tokens_read(place_); }

std::span<const float> Decoder::Sequence::read(std::span<const std::int32_t> tokens, const std::atomic<bool>* stop) {
  State& state = this->state();
  state.held->check_tokens("decoder", tokens);
  state.check_room(place_, static_cast<std::int64_t>(tokens.size()));
  if (tokens.empty() && state.engine.position(place_) > 0) fail("needs a token to read, got none");
  const float* logits = state.engine.read(place_, tokens, stop, state.reading);
  if (logits == nullptr) return {};
  return {logits, static_cast<std::size_t>(state.held->model().vocabulary)};
}

void Decoder::Sequence::restart() { state().engine.restart(place_); }

Decoder::Sequence Decoder::Sequence::fork() {
  State& state = this->state();
  Sequence other(state_, state.join());
  state.engine.copy(place_, other.place_);
  return other;
}

Decoder::Decoder(Model& model, const DecoderOptions& options) : state_(std::make_shared<State>(model.held_, options)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

std::int64_t Decoder::length() const { return state_->engine.shape().length; }
std::int64_t Decoder::vocabulary() const { return state_->held->model().vocabulary; }

Decoder::Sequence Decoder::join() { return {state_, state_->join()}; }

std::span<const float> Decoder::step(const std::vector<Fed>& fed) {
  if (fed.empty()) fail("needs a sequence to step, got none");
  std::vector<Engine::Next> first, next;
  for (const Fed& one : fed) {
    if (one.sequence == nullptr || one.sequence->state_ != state_) fail("steps a sequence that is not in it");
    const std::int32_t place = one.sequence->place_;
    const auto same = [&](const Engine::Next& other) { return other.sequence == place; };
    if (std::any_of(next.begin(), next.end(), same)) fail("steps a sequence twice at once");
    state_->held->check_tokens("decoder", {&one.token, 1});
    state_->check_room(place, 1);
    if (state_->engine.position(place) == 0) first.push_back({place, -1});
    next.push_back({place, one.token});
  }
  if (!first.empty()) state_->engine.step(first);
  const float* logits = state_->engine.step(next);
  return {logits, fed.size() * static_cast<std::size_t>(vocabulary())};
}

}  // namespace longstride
