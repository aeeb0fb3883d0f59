// Places, slot lists and steps of an engine (model/engine.h).
#include "model/engine.h"

#include <algorithm>

#include <fmt/format.h>

#include "longstride/error.h"
#include "model/block.h"
#include "model/hashes.h"

namespace longstride {
namespace {

// Entries that the slot lists of one pass hold at most: rows of long lists are read fewer at a time.
constexpr std::int64_t kMostListed = std::int64_t{1} << 22;

[[noreturn]] void fail(const std::string& sentence) { throw Error(ErrorKind::invalid_argument, "engine: " + sentence); }

}  // namespace

Engine::Engine(Backend& backend, const ModelConfig& model, const EngineShape& shape, const Weights& weights)
    : backend_(backend), model_(model), shape_(shape), weights_(weights), cache_(model, shape) {
  recent_ = std::max(model.convolution + 1, model.hash_orders.empty() ? 0 : model.hash_orders.back());
  places_.resize(static_cast<std::size_t>(shape.sequences));
  if (weights.f32 == nullptr) return;  // it is only counted what an engine would need
  std::vector<std::int64_t> first;
  std::vector<std::int32_t> group;
  for (const std::vector<std::int32_t>& heads : cache_.groups) {
    std::int64_t at = 0;
    for (const std::int32_t index : heads) {
      first.push_back(at);
      group.push_back(index);
      at += cache_.layouts[static_cast<std::size_t>(index)].slots();
    }
  }
  first_slot_ = Buffer(backend, static_cast<std::int64_t>(first.size()) * 8);
  group_ = Buffer(backend, static_cast<std::int64_t>(group.size()) * 4);
  backend.upload(first_slot_.data(), first.data(), first_slot_.bytes());
  backend.upload(group_.data(), group.data(), group_.bytes());
  for (std::int64_t block = 0; block < model.layers; ++block) {
    const std::int64_t rows = shape.sequences * cache_.slots_of(block) * size_of(shape.type);
    keys_.emplace_back(backend, rows * model.query_head());
    values_.emplace_back(backend, rows * model.value_head());
  }
}

std::int64_t Engine::most_rows() const {
  const std::int64_t fit = std::max<std::int64_t>(1, kMostListed / std::max<std::int64_t>(1, cache_.most_reads));
  std::int64_t rows = 1;
  while (2 * rows <= std::min(fit, kReadRows)) rows *= 2;
  return rows;
}

std::vector<std::pair<std::string, std::int64_t>> Engine::memory(Backend& backend, const ModelConfig& model,
                                                                 const EngineShape& shape) {
  const ParameterTable table(model);
  const Engine planned(backend, model, shape, {&table, nullptr, nullptr});
  const std::int64_t bytes = std::max(planned.compile(shape.sequences, Logits::all).executable->arena_bytes(),
                                      planned.compile(planned.most_rows(), Logits::last).executable->arena_bytes());
  return {{"decoder cache", planned.cache_.bytes}, {"decoder activations", bytes}};
}

// Every step of so many rows runs the same operations; positions, tokens and slot lists lie in memory.
Engine::Compiled Engine::compile(std::int64_t rows, Logits which) const {
  const std::int64_t C = model_.width, F = model_.hidden_width(), R = rows;
  const auto G = static_cast<std::int64_t>(cache_.patterns.size());
  Program program;
  Compiled made;
  const auto ints = [&](std::int64_t count) { return program.array<std::int32_t>("lists", Life::lasting, count); };
  const auto longs = [&](std::int64_t count) { return program.array<std::int64_t>("lists", Life::lasting, count); };
  made.tokens = ints(R * recent_), made.at = longs(R), made.sequence = ints(R);
  made.hash_rows = ints(R * static_cast<std::int64_t>(model_.hash_orders.size()));
  made.write = ints(R * cache_.most_writes), made.read = ints(R * cache_.most_reads);
  for (Array<std::int64_t>* list : {&made.write_begin, &made.write_end, &made.read_begin, &made.read_end})
    *list = longs(R * G);

  const auto matrix_of = [&](DType type, std::int64_t cols) {
    return program.matrix("activations", Life::passing, type, R, cols);
  };
  const auto floats = [&] { return program.array<float>("activations", Life::passing, R); };
  BlockViews at;
  at.h = at.h_mid = matrix_of(DType::float32, C);
  at.mean1 = at.mean2 = floats(), at.rstd1 = at.rstd2 = floats();
  at.y1 = at.y2 = matrix_of(shape_.type, C);
  at.qkv = matrix_of(shape_.type, 2 * model_.query_width() + C);
  at.attended = matrix_of(shape_.type, C);
  at.hidden = matrix_of(shape_.type, F);
  at.branch = matrix_of(shape_.type, C);

  Embed e = embedding_of(model_, weights_);
  e.B = R;
  e.T = 1;
  e.history = recent_ - 1;
  e.tokens_stride = recent_;
  e.tokens = made.tokens.from(e.history);
  e.at = made.at;
  e.hash_rows = made.hash_rows;
  e.out = at.h;
  program.add(e);
  const BlockShape shape{R, R, shape_.type, {}};
  const Rows all{0, R};
  std::vector<Block> blocks;
  blocks.reserve(static_cast<std::size_t>(model_.layers));
  for (std::int64_t index = 0; index < model_.layers; ++index) {
    const Block* below = index == 0 ? nullptr : &blocks.back();
    const Block& block = blocks.emplace_back(model_, weights_, index, shape, at);
    block.enter(program, below, all);
    DecodeAttention attention = block.decode_attention();
    attention.slots = cache_.slots_of(index);
    const auto layer = static_cast<std::size_t>(index);
    const std::int64_t stored = shape_.sequences * attention.slots;
    const auto store = [&](const std::vector<Buffer>& of, std::int64_t D) {
      return matrix(of.empty() ? nullptr : of[layer].data(), shape_.type, stored, D);
    };
    attention.keys = store(keys_, model_.query_head());
    attention.values = store(values_, model_.value_head());
    attention.sequence = made.sequence;
    const std::int64_t heads = model_.heads, cycle = index % static_cast<std::int64_t>(cache_.groups.size());
    const auto of_heads = [&](auto* data) { return array(data == nullptr ? nullptr : data + cycle * heads, heads); };
    attention.first_slot = of_heads(static_cast<std::int64_t*>(first_slot_.data()));
    attention.group = of_heads(static_cast<std::int32_t*>(group_.data()));
    attention.groups = G;
    attention.write = made.write, attention.read = made.read;
    attention.write_begin = made.write_begin, attention.write_end = made.write_end;
    attention.read_begin = made.read_begin, attention.read_end = made.read_end;
    program.add(attention);
    block.leave(program, all);
  }
  if (which != Logits::none) {
    const Rows rated = which == Logits::all ? all : Rows{R - 1, 1};
    program.add(blocks.back().final_norm(at.h, at.y1, at.mean1, at.rstd1, rated));
    made.logits = program.matrix("logits", Life::lasting, DType::float32, rated.count, model_.vocabulary);
    Linear output;
    output.x = at.y1.rows_from(rated.first, rated.count);
    output.w = weights_.matrix(weights_.table->output_weight, model_.vocabulary, C, shape_.type);
    output.y = made.logits;
    program.add(output);
  }
  made.executable = backend_.compile(std::move(program));
  return made;
}

Engine::Compiled& Engine::program(std::int64_t rows, Logits logits) {
  const auto key = std::pair(rows, logits);
  const auto found = programs_.find(key);
  if (found != programs_.end()) return found->second;
  Compiled& made = programs_.emplace(key, compile(rows, logits)).first->second;
  if (made.executable->arena_bytes() > arena_.bytes()) {
    arena_ = Buffer();
    arena_ = Buffer(backend_, made.executable->arena_bytes());
    for (auto& [other, program] : programs_) program.executable->bind(arena_.data());
  } else {
    made.executable->bind(arena_.data());
  }
  return made;
}

Engine::Sequence Engine::join() {
  const auto free = std::find_if(places_.begin(), places_.end(), [](const Place& place) { return !place.taken; });
  if (free == places_.end()) fail(fmt::format("has no room beside its {} sequences", shape_.sequences));
  *free = {true, 0, std::vector<std::int32_t>(static_cast<std::size_t>(recent_), -1)};
  return static_cast<Sequence>(free - places_.begin());
}

const Engine::Place& Engine::place(Sequence sequence) const {
  if (sequence < 0 || sequence >= shape_.sequences || !places_[static_cast<std::size_t>(sequence)].taken)
    fail(fmt::format("has no sequence {}", sequence));
  return places_[static_cast<std::size_t>(sequence)];
}
Engine::Place& Engine::place(Sequence sequence) { return const_cast<Place&>(std::as_const(*this).place(sequence)); }

void Engine::leave(Sequence sequence) { place(sequence).taken = false; }

void Engine::restart(Sequence sequence) {
  Place& at = place(sequence);
  at.position = 0;
  std::fill(at.recent.begin(), at.recent.end(), -1);
}

void Engine::copy(Sequence from, Sequence to) {
  Place& target = place(to);
  target = place(from);
  for (std::int64_t block = 0; block < model_.layers; ++block) {
    for (std::vector<Buffer>* store : {&keys_, &values_}) {
      const Buffer& buffer = (*store)[static_cast<std::size_t>(block)];
      const std::int64_t bytes = buffer.bytes() / shape_.sequences;
      char* data = static_cast<char*>(buffer.data());
      backend_.copy(data + to * bytes, data + from * bytes, bytes);
    }
  }
}

std::int64_t Engine::position(Sequence sequence) const { return place(sequence).position; }

void Engine::assume(Sequence sequence, std::int64_t position) {
  Place& at = place(sequence);
  if (position < 0 || position >= shape_.length)
    fail(fmt::format("needs a position of 0 to {}, got {}", shape_.length - 1, position));
  if (position > at.position) {
    for (std::vector<Buffer>* store : {&keys_, &values_}) {
      for (const Buffer& buffer : *store) {
        const std::int64_t bytes = buffer.bytes() / shape_.sequences;
        backend_.zero(static_cast<char*>(buffer.data()) + sequence * bytes, bytes);
      }
    }
  }
  at.position = position;
}

void Engine::check_next(std::span<const Next> next) const {
  std::int64_t run = 0;  // rows of the same sequence before this one
  for (std::size_t r = 0; r < next.size(); ++r) {
    const Place& at = place(next[r].sequence);
    run = r > 0 && next[r].sequence == next[r - 1].sequence ? run + 1 : 0;
    const std::int64_t position = at.position + run;
    if (position >= shape_.length) fail(fmt::format("position {} is beyond its length of {}", position, shape_.length));
    const std::int64_t lowest = position == 0 ? -1 : 0, highest = position == 0 ? -1 : model_.vocabulary - 1;
    if (next[r].before < lowest || next[r].before > highest) {
      fail(fmt::format("position {} needs a token before it in [{}, {}], got {}", position, lowest, highest,
                       next[r].before));
    }
  }
}

// Once a distinct pattern and position; rows at the position of the row before share its lists.
void Engine::list_slots(std::span<const Next> next) {
  Lists& lists = lists_;
  lists = {};
  const std::size_t G = cache_.layouts.size();
  for (std::size_t r = 0; r < next.size(); ++r) {
    if (r > 0 && at_[r] == at_[r - 1]) {
      for (std::vector<std::int64_t>* list : {&lists.write_begin, &lists.write_end, &lists.read_begin, &lists.read_end})
        for (std::size_t g = 0; g < G; ++g) list->push_back((*list)[list->size() - G]);
      continue;
    }
    for (const CacheLayout& layout : cache_.layouts) {
      lists.write_begin.push_back(static_cast<std::int64_t>(lists.write.size()));
      lists.read_begin.push_back(static_cast<std::int64_t>(lists.read.size()));
      layout.write_slots(at_[r], lists.write);
      layout.read_slots(at_[r], lists.read);
      lists.write_end.push_back(static_cast<std::int64_t>(lists.write.size()));
      lists.read_end.push_back(static_cast<std::int64_t>(lists.read.size()));
    }
  }
}

template <class T>
void Engine::upload(const Compiled& to, const Array<T>& view, const std::vector<T>& values) {
  if (values.empty()) return;
  backend_.upload(to.executable->program().bound(view).data, values.data(),
                  static_cast<std::int64_t>(values.size() * sizeof(T)));
}

// Takes in the tokens: each row's sequence stands one position further afterwards.
void Engine::load(const Compiled& to, std::span<const Next> next) {
  const std::int64_t R = static_cast<std::int64_t>(next.size());
  tokens_.clear(), at_.clear(), sequence_.clear();
  hash_rows_.resize(next.size() * model_.hash_orders.size());
  for (std::int64_t r = 0; r < R; ++r) {
    Place& at = place(next[static_cast<std::size_t>(r)].sequence);
    at.recent.erase(at.recent.begin());
    at.recent.push_back(next[static_cast<std::size_t>(r)].before);
    tokens_.insert(tokens_.end(), at.recent.begin(), at.recent.end());
    hash_rows(model_, tokens_.data() + tokens_.size(), at.position, hash_rows_.data() + r, R);
    sequence_.push_back(next[static_cast<std::size_t>(r)].sequence);
    at_.push_back(at.position++);
  }
  list_slots(next);
  upload(to, to.tokens, tokens_), upload(to, to.at, at_), upload(to, to.sequence, sequence_);
  upload(to, to.hash_rows, hash_rows_), upload(to, to.write, lists_.write), upload(to, to.read, lists_.read);
  upload(to, to.write_begin, lists_.write_begin), upload(to, to.write_end, lists_.write_end);
  upload(to, to.read_begin, lists_.read_begin), upload(to, to.read_end, lists_.read_end);
}

const float* Engine::run(std::span<const Next> next, Logits which) {
  Compiled& program = this->program(static_cast<std::int64_t>(next.size()), which);
  load(program, next);
  program.executable->run();
  if (which == Logits::none) return nullptr;
  backend_.wait();
  const Matrix logits = program.executable->program().bound(program.logits);
  logits_.resize(static_cast<std::size_t>(logits.rows * logits.cols));
  backend_.download(logits_.data(), logits.data, logits.rows * logits.cols * 4);
  return logits_.data();
}

const float* Engine::step(std::span<const Next> next) {
  if (next.empty()) fail("needs a sequence to step");
  for (std::size_t r = 0; r < next.size(); ++r)
    for (std::size_t before = 0; before < r; ++before)
      if (next[before].sequence == next[r].sequence) fail(fmt::format("steps sequence {} twice", next[r].sequence));
  check_next(next);
  return run(next, Logits::all);
}

const float* Engine::read(Sequence sequence, std::span<const std::int32_t> tokens, const std::atomic<bool>* stop) {
  std::vector<Next> rows;
  if (position(sequence) == 0) rows.push_back({sequence, -1});
  for (const std::int32_t token : tokens) rows.push_back({sequence, token});
  if (rows.empty()) fail("needs a token to read");
  check_next(rows);
  std::span<const Next> left = rows;
  std::int64_t most = most_rows();
  const float* logits = nullptr;
  while (!left.empty()) {
    if (stop != nullptr && stop->load()) return nullptr;
    while (most > static_cast<std::int64_t>(left.size())) most /= 2;
    const auto now = static_cast<std::size_t>(most);
    logits = run(left.first(now), now == left.size() ? Logits::last : Logits::none);
    left = left.subspan(now);
  }
  return logits;
}

}  // namespace longstride
