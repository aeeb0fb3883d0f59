// This keeps an engine's sequences: what each has read, which slots a pass writes and reads, and the passes themselves.
#include "model/engine.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "longstride/error.h"
#include "model/block.h"
#include "model/hashes.h"

namespace longstride {
namespace {

// Entries that the slot lists of one pass hold at most: rows of long lists are read fewer at a time.
constexpr std::int64_t kMostListed = std::int64_t{1} << 22;

// Positions that a piece through tiles holds at most: the first as many as training takes at once, for it can be broken
// off; the others a second's work of a model of 95 million parameters on two cores.
constexpr std::int64_t kFirstPiece = kRowsAtOnce, kNextPiece = 4096;
constexpr std::size_t kMostPieces = 32;  // compiled ones that are kept

[[noreturn]] void fail_engine(const std::string& sentence) { throw_invalid("engine: " + sentence); }
bool is_set(const std::atomic<bool>* stop) { return stop != nullptr && stop->load(); }

}  // namespace

Engine::Engine(Backend& backend, const ModelConfig& model, const EngineShape& shape, const Weights& weights)
    : backend_(backend),
      model_(model),
      shape_(shape),
      weights_(weights),
      memory_(backend, model, shape, weights.f32 != nullptr),
      arena_(backend) {
  places_.resize(static_cast<std::size_t>(shape.sequences));
}

std::int64_t Engine::most_rows() const {
  const std::int64_t fit = kMostListed / std::max<std::int64_t>(1, memory_.cache().most_reads);
  std::int64_t rows = 1;
  while (2 * rows <= std::min(fit, kReadRows)) rows *= 2;
  return rows;
}

std::vector<std::pair<std::string, std::int64_t>> Engine::memory(Backend& backend, const ModelConfig& model,
                                                                 const EngineShape& shape) {
  const ParameterTable table(model);
  const Weights weights{&table, nullptr, nullptr};
  const Engine planned(backend, model, shape, weights);
  const auto bytes = [&](EngineProgram made) { return backend.compile(std::move(made.program))->arena_bytes(); };
  const std::int64_t rows =
      std::max(bytes(rows_program(model, shape, weights, planned.memory_, shape.sequences, Logits::all)),
               bytes(rows_program(model, shape, weights, planned.memory_, planned.most_rows(), Logits::last)));
  return {{"decoder_cache", planned.memory_.cache().bytes}, {"decoder_activations", rows}};
}

Engine::Compiled Engine::compile(EngineProgram made) {
  Program program = std::move(made.program);
  return {std::move(made), nullptr, arena_.add(std::move(program))};
}

Engine::Compiled& Engine::rows_of(std::int64_t rows, Logits logits) {
  const auto key = std::pair(rows, logits);
  if (const auto found = rows_.find(key); found != rows_.end()) return found->second;
  Compiled made = compile(rows_program(model_, shape_, weights_, memory_, rows, logits));
  return rows_.emplace(key, std::move(made)).first->second;
}

Engine::Compiled& Engine::piece_of(std::int64_t first, std::int64_t rows, Logits logits) {
  const auto key = std::tuple(first, rows, logits);
  if (const auto found = pieces_.find(key); found != pieces_.end()) return found->second;
  if (pieces_.size() >= kMostPieces) pieces_.clear();
  auto tilings = std::make_unique<HeadTilings>(model_, first + rows);
  Compiled made = compile(piece_program(model_, shape_, weights_, memory_, *tilings, first, rows, logits));
  made.tilings = std::move(tilings);
  return pieces_.emplace(key, std::move(made)).first->second;
}

Engine::Sequence Engine::join() {
  const auto free = std::find_if(places_.begin(), places_.end(), [](const Place& place) { return !place.taken; });
  if (free == places_.end()) fail_engine(fmt::format("has no room beside its {} sequences", shape_.sequences));
  *free = {true, 0, std::vector<std::int32_t>(static_cast<std::size_t>(recent_tokens(model_)), -1)};
  return static_cast<Sequence>(free - places_.begin());
}

const Engine::Place& Engine::at(Sequence sequence) const {
  if (sequence < 0 || sequence >= shape_.sequences || !places_[static_cast<std::size_t>(sequence)].taken)
    fail_engine(fmt::format("has no sequence {}", sequence));
  return places_[static_cast<std::size_t>(sequence)];
}
Engine::Place& Engine::at(Sequence sequence) { return const_cast<Place&>(std::as_const(*this).at(sequence)); }

void Engine::leave(Sequence sequence) { at(sequence).taken = false; }

void Engine::restart(Sequence sequence) {
  Place& place = at(sequence);
  place.position = 0;
  std::fill(place.recent.begin(), place.recent.end(), -1);
}

void Engine::copy(Sequence from, Sequence to) {
  Place& target = at(to);
  target = at(from);
  memory_.copy(from, to);
}

std::int64_t Engine::position(Sequence sequence) const { return at(sequence).position; }

void Engine::assume(Sequence sequence, std::int64_t position) {
  Place& place = at(sequence);
  if (position < 0 || position >= shape_.length)
    fail_engine(fmt::format("needs a position of 0 to {}, got {}", shape_.length - 1, position));
  if (position > place.position) memory_.clear(sequence);
  place.position = position;
}

void Engine::check_next(std::span<const Next> next) const {
  std::int64_t before = 0;  // rows of the same sequence before this one
  for (std::size_t r = 0; r < next.size(); ++r) {
    const Place& place = at(next[r].sequence);
    before = r > 0 && next[r].sequence == next[r - 1].sequence ? before + 1 : 0;
    const std::int64_t position = place.position + before;
    if (position >= shape_.length)
      fail_engine(fmt::format("position {} is beyond its length of {}", position, shape_.length));
    const std::int64_t lowest = position == 0 ? -1 : 0, highest = position == 0 ? -1 : model_.vocabulary - 1;
    if (next[r].before < lowest || next[r].before > highest) {
      fail_engine(fmt::format("position {} needs a token before it in [{}, {}], got {}", position, lowest, highest,
                              next[r].before));
    }
  }
}

template <class T>
void Engine::upload(const Compiled& to, const Array<T>& view, const std::vector<T>& values) {
  if (values.empty() || !view) return;
  backend_.upload(to.executable->program().bound(view).data, values.data(),
                  static_cast<std::int64_t>(values.size() * sizeof(T)));
}

// Each row's sequence stands one position further afterwards. Rows beyond `next` repeat the last one: nothing of them
// is kept.
void Engine::take_tokens(const Compiled& to, std::span<const Next> next, std::int64_t rows) {
  const auto orders = static_cast<std::int64_t>(model_.hash_orders.size());
  std::vector<std::int32_t> tokens, hashes(static_cast<std::size_t>(rows * orders));
  positions_.clear();
  for (std::int64_t r = 0; r < rows; ++r) {
    const bool more = r >= std::ssize(next);
    const Next& row = more ? next.back() : next[static_cast<std::size_t>(r)];
    Place& place = at(row.sequence);
    if (!more) {
      place.recent.erase(place.recent.begin());
      place.recent.push_back(row.before);
    }
    tokens.insert(tokens.end(), place.recent.begin(), place.recent.end());
    hash_rows(model_, tokens.data() + tokens.size(), more ? place.position - 1 : place.position, hashes.data() + r,
              rows);
    positions_.push_back(more ? positions_.back() : place.position++);
  }
  upload(to, to.made.tokens, tokens);
  upload(to, to.made.hash_rows, hashes);
  upload(to, to.made.at, positions_);
}

// Once a distinct pattern and position; rows at the position of the row before share its lists.
void Engine::list_slots(const Compiled& to) {
  std::vector<std::int32_t> write, read;
  std::vector<std::int64_t> write_begin, write_end, read_begin, read_end;
  const std::size_t G = memory_.cache().layouts.size();
  for (std::size_t r = 0; r < positions_.size(); ++r) {
    if (r > 0 && positions_[r] == positions_[r - 1]) {
      for (std::vector<std::int64_t>* list : {&write_begin, &write_end, &read_begin, &read_end})
        for (std::size_t g = 0; g < G; ++g) list->push_back((*list)[list->size() - G]);
      continue;
    }
    for (const CacheLayout& layout : memory_.cache().layouts) {
      write_begin.push_back(std::ssize(write)), read_begin.push_back(std::ssize(read));
      layout.write_slots(positions_[r], write), layout.read_slots(positions_[r], read);
      write_end.push_back(std::ssize(write)), read_end.push_back(std::ssize(read));
    }
  }
  upload(to, to.made.write, write), upload(to, to.made.read, read);
  upload(to, to.made.write_begin, write_begin), upload(to, to.made.write_end, write_end);
  upload(to, to.made.read_begin, read_begin), upload(to, to.made.read_end, read_end);
}

// What the cache keeps of positions from `first` on, of `end` in all, and in which rows of a piece they stand.
void Engine::list_held(const Compiled& to, std::int64_t first, std::int64_t end, bool recall) {
  std::vector<std::int64_t> rows, begin = {0};
  std::vector<std::int32_t> slots;
  for (const CacheLayout& layout : memory_.cache().layouts) {
    layout.held_slots(first, end, rows, slots);
    begin.push_back(std::ssize(rows));
  }
  for (std::int64_t& row : rows) row -= first;
  const EngineProgram& made = to.made;
  upload(to, recall ? made.recalled_row : made.stored_row, rows);
  upload(to, recall ? made.recalled_slot : made.stored_slot, slots);
  upload(to, recall ? made.recalled_begin : made.stored_begin, begin);
}

const float* Engine::downloaded(const Compiled& from, std::int64_t first, std::int64_t rows) {
  backend_.wait();
  const Matrix logits = from.executable->program().bound(from.made.logits).rows_from(first, rows);
  logits_.resize(static_cast<std::size_t>(logits.rows * logits.cols));
  backend_.download(logits_.data(), logits.data, logits.rows * logits.cols * 4);
  return logits_.data();
}

// A pass that is broken off has overwritten slots that earlier positions may need.
bool Engine::run(const Compiled& program, std::span<const Next> next, const std::atomic<bool>* stop) {
  struct Stopped {};
  const auto forget = [&] {
    for (const Next& row : next) restart(row.sequence);
  };
  try {
    program.executable->run({}, [&](const Mark&) {
      if (is_set(stop)) throw Stopped{};
    });
    return true;
  } catch (const Stopped&) {
    forget();
    return false;
  } catch (...) {
    forget();
    throw;
  }
}

const float* Engine::run_rows(std::span<const Next> next, Logits which) {
  Compiled& program = rows_of(std::ssize(next), which);
  take_tokens(program, next, std::ssize(next));
  list_slots(program);
  std::vector<std::int32_t> sequences;
  for (const Next& row : next) sequences.push_back(row.sequence);
  upload(program, program.made.sequence, sequences);
  run(program, next, nullptr);
  return which == Logits::none ? nullptr : downloaded(program, 0, program.made.logits.rows);
}

bool Engine::run_piece(std::span<const Next> next, Logits which, const std::atomic<bool>* stop) {
  const Sequence sequence = next.front().sequence;
  const std::int64_t first = at(sequence).position;
  const std::int64_t rows = (std::ssize(next) + kPieceRows - 1) / kPieceRows * kPieceRows;
  Compiled& program = piece_of(first, rows, which);
  take_tokens(program, next, rows);
  if (first > 0) list_held(program, 0, first, true);
  list_held(program, first, at(sequence).position, false);
  upload(program, program.made.sequence, std::vector<std::int32_t>{sequence});
  if (!run(program, next, stop)) return false;
  if (which != Logits::none) downloaded(program, kPieceRows - (rows - std::ssize(next)) - 1, 1);
  return true;
}

const float* Engine::step(std::span<const Next> next) {
  if (next.empty()) fail_engine("needs a sequence to step");
  for (std::size_t r = 0; r < next.size(); ++r)
    for (std::size_t before = 0; before < r; ++before)
      if (next[before].sequence == next[r].sequence)
        fail_engine(fmt::format("steps sequence {} twice", next[r].sequence));
  check_next(next);
  return run_rows(next, Logits::all);
}

const float* Engine::read(Sequence sequence, std::span<const std::int32_t> tokens, const std::atomic<bool>* stop,
                          Reading reading) {
  std::vector<Next> rows;
  if (position(sequence) == 0) rows.push_back({sequence, -1});
  for (const std::int32_t token : tokens) rows.push_back({sequence, token});
  if (rows.empty()) fail_engine("needs a token to read");
  check_next(rows);
  std::span<const Next> left = rows;
  while (reading == Reading::tiles && std::ssize(left) > kFewestInTiles) {
    const std::int64_t most = position(sequence) == 0 ? kFirstPiece : kNextPiece;
    const auto now = static_cast<std::size_t>(std::min(most, std::ssize(left)));
    const bool last = now == left.size();
    if (is_set(stop) || !run_piece(left.first(now), last ? Logits::last : Logits::none, stop)) return nullptr;
    left = left.subspan(now);
    if (last) return logits_.data();
  }
  std::int64_t most = most_rows();
  const float* logits = nullptr;
  while (!left.empty()) {
    if (is_set(stop)) return nullptr;
    while (most > std::ssize(left)) most /= 2;
    const auto now = static_cast<std::size_t>(most);
    logits = run_rows(left.first(now), now == left.size() ? Logits::last : Logits::none);
    left = left.subspan(now);
  }
  return logits;
}

}  // namespace longstride
