// This holds training's memory, and the programs that begin a step, end it, and put the average in place.
#include "train/state.h"

#include <algorithm>
#include <cmath>

namespace longstride {

namespace {

Buffer zeros(Backend& backend, std::int64_t bytes) {
  Buffer buffer(backend, bytes);
  if (buffer) backend.zero(buffer.data(), bytes);
  return buffer;
}

// Begins to bring everyone's pieces of segment s to all, each where place(s, p) says that it lies.
template <class Place>
void begin_share(Carrier& carrier, int s, const Place& place, std::vector<Carrier::Ticket>& tickets) {
  std::vector<Carrier::Piece> places;
  for (int p = 0; p < carrier.size(); ++p) places.push_back(place(s, p));
  tickets.push_back(carrier.begin_share(places));
}

void finish(Carrier& carrier, const std::vector<Carrier::Ticket>& tickets) {
  for (const Carrier::Ticket ticket : tickets) carrier.finish(ticket);
}

// ((0 + 1) + (2 + 3)) + ... of a power of two.
double tree_sum(std::vector<double> terms) {
  for (std::size_t apart = 1; apart < terms.size(); apart *= 2)
    for (std::size_t i = 0; i < terms.size(); i += 2 * apart) terms[i] += terms[i + apart];
  return terms.front();
}

}  // namespace

TrainState::TrainState(Backend& backend, const ModelConfig& model, const TrainingConfig& training, DType activations,
                       World& world)
    : backend_(backend),
      table_(model),
      training_(training),
      world_(world),
      carriage_(backend, world),
      carrier_(carriage_.carrier()),
      lanes_(static_cast<int>(training.lanes) / world.size()),
      shards_(table_, world.size()),
      floats_(table_),
      splits_(activations == DType::bfloat16 && world.size() > 1),
      weights_(zeros(backend, (splits_ ? floats_.elements() : table_.store_elements()) * 4)),
      masters_(zeros(backend, splits_ ? shards_.moved_elements(world.rank()) * 4 : 0)),
      first_moment_(zeros(backend, shards_.moved_elements(world.rank()) * 4)),
      second_moment_(zeros(backend, first_moment_.bytes())),
      average_(zeros(backend, training.ema > 0 ? first_moment_.bytes() : 0)),
      gradients_(backend, table_.store_elements(), lanes_, shards_, carrier_,
                 tokens_of_step(model, training) / world.size()),
      rounded_(zeros(backend, activations == DType::bfloat16 ? table_.store_elements() * 2 : 0)),
      staging_(backend, splits_ ? std::max(kPutAtOnce, floats_.elements() - shards_.tables().range.size()) * 4 : 0),
      sums_(backend, 32),
      lane_bits_(backend, lanes_ * std::int64_t{8}),
      squares_(backend, square_sums_of(table_.store_elements()) * 8) {
  for (int p = 0; splits_ && p < world.size(); ++p) pieces_.push_back(floats_.moved(shards_, p));
  make_programs();
  if (world.size() > 1 && shards_.tables().range.size() > 0) make_row_weights(tokens_of_step(model, training));
}

void TrainState::make_row_weights(std::int64_t tokens) {
  const int last = shards_.segments() - 1;
  const ElementRange tables = shards_.tables().range, mine = shards_.rows(last, world_.rank());
  const std::int64_t place = splits_ ? floats_.places().at(tables.begin) : tables.begin;
  const auto own = [&](const Array<float>& piece, const ElementRange& of_piece) {
    return piece.from(mine.begin - of_piece.begin, mine.size());
  };
  row_weights_.emplace(backend_, shards_, carrier_, tokens, weights_.floats().from(place, tables.size()),
                       own(own_weights(last), shards_.moved(last, world_.rank())),
                       own(gradients_.mine(last), shards_.needed(last, world_.rank())));
}

Array<float> TrainState::own_weights(int segment) const {
  if (splits_) return moved(masters_, segment);
  const ElementRange range = shards_.moved(segment, world_.rank());
  return weights_.floats().from(range.begin, range.size());
}

Array<float> TrainState::moved(const Buffer& mine, int segment) const {
  return mine.floats().from(shards_.place_of_moved(segment, world_.rank()),
                            shards_.moved(segment, world_.rank()).size());
}

// Neighbours of the same decay are moved by one operation, tables that move by rows by one each. A gap between them
// holds zeros and stays zero.
void TrainState::add_adamw(std::vector<Operation>& update, int segment) const {
  const ElementRange mine = shards_.moved(segment, world_.rank());
  const std::int64_t needed = shards_.needed(segment, world_.rank()).begin;
  const std::vector<Parameter>& entries = table_.entries();
  for (std::size_t first = 0, next = 0; first < entries.size(); first = next) {
    const Parameter& entry = entries[first];
    const auto joins = [&](const Parameter& p) { return !entry.by_rows && !p.by_rows && p.decay == entry.decay; };
    do ++next;
    while (next < entries.size() && joins(entries[next]));
    const std::int64_t end = entry.by_rows           ? entry.offset + entry.count
                             : next < entries.size() ? entries[next].offset
                                                     : table_.store_elements();
    const std::int64_t from = std::max(entry.offset, mine.begin), count = std::min(end, mine.end) - from;
    if (count <= 0) continue;
    AdamW op;
    op.w = own_weights(segment).from(from - mine.begin, count);
    op.m = moved(first_moment_, segment).from(from - mine.begin, count);
    op.v = moved(second_moment_, segment).from(from - mine.begin, count);
    op.dw = gradients_.mine(segment).from(from - needed, count);
    if (average_) op.ema = moved(average_, segment).from(from - mine.begin, count);
    if (rounded_ && world_.size() == 1) op.copy = rounded_.halves().from(from, count);
    op.scale = scale();
    op.beta1 = static_cast<float>(training_.beta1);
    op.beta2 = static_cast<float>(training_.beta2);
    op.epsilon = static_cast<float>(training_.epsilon);
    op.decay = entry.decay ? static_cast<float>(training_.weight_decay) : 0;
    op.ema_decay = static_cast<float>(training_.ema);
    op.row = entry.by_rows ? entry.shape.back() : 0;
    update.emplace_back(op);
  }
}

void TrainState::make_programs() {
  begin_ = compile_bound(backend_, {Zero{gradients_.lane().floats()}, Zero{sums_.floats()}});
  const Array<double> squares = array(static_cast<double*>(squares_.data()), square_sums_of(table_.store_elements()));
  std::vector<Operation> sums, update = {GradientNorm{squares, bits(), training_.clip, norm(), scale()}}, exchange,
                               round;
  for (int s = shards_.segments() - 1; s >= 0; --s) {
    const ElementRange summed = shards_.summed(s, world_.rank()), mine = shards_.moved(s, world_.rank());
    if (summed.size() > 0)  // gaps hold 0
      sums.emplace_back(SquareSums{gradients_.mine(s).from(0, summed.size()),
                                   squares.from(summed.begin / kSquareSumsChunk, square_sums_of(summed.size()))});
    add_adamw(update, s);
    if (average_ && mine.size() > 0) exchange.emplace_back(Exchange{own_weights(s), moved(average_, s)});
    for (const ElementRange& part : {shards_.before_rows(s, world_.rank()), shards_.behind_rows(s, world_.rank())})
      if (splits_ && part.size() > 0)
        round.emplace_back(Round{own_weights(s).from(part.begin - mine.begin, part.size()),
                                 rounded_.halves().from(part.begin, part.size())});
  }
  if (!sums.empty()) square_sums_ = compile_bound(backend_, std::move(sums));
  update_ = compile_bound(backend_, std::move(update));
  if (!exchange.empty()) exchange_ = compile_bound(backend_, std::move(exchange));
  if (rounded_ && !splits_) round.emplace_back(Round{weights_.floats(), rounded_.halves()});
  if (!round.empty()) round_ = compile_bound(backend_, std::move(round));
}

std::vector<std::pair<std::string, std::int64_t>> TrainState::memory(const ModelConfig& model,
                                                                     const TrainingConfig& training, DType activations,
                                                                     int processes, int rank) {
  const ParameterTable table(model);
  const Shards shards(table, processes);
  const std::int64_t bytes = table.store_elements() * 4, moved = shards.moved_elements(rank) * 4;
  std::int64_t weights = bytes + (activations == DType::bfloat16 ? bytes / 2 : 0);
  if (activations == DType::bfloat16 && processes > 1) {
    const std::int64_t floats = FloatTensors(table).elements() * 4;
    weights = bytes / 2 + moved + floats + std::max(floats - shards.tables().range.size() * 4, kPutAtOnce * 4);
  }
  std::vector<std::pair<std::string, std::int64_t>> parts = {{"weights", weights}};
  const int lanes = static_cast<int>(training.lanes) / processes;
  const std::int64_t tokens = tokens_of_step(model, training);
  for (auto& part : GradientSum::memory(table.store_elements(), lanes, shards, rank, tokens / processes))
    parts.push_back(std::move(part));
  if (processes > 1) parts.back().second += RowWeights::bytes(shards, tokens);
  parts.emplace_back("optimiser", 2 * moved);
  if (training.ema > 0) parts.emplace_back("average", moved);
  return parts;
}

// Weights all at once, after the gradients of two segments that are sent and received.
std::int64_t TrainState::detour_bytes(const ModelConfig& model, const TrainingConfig& training, DType activations,
                                      int processes, int rank) {
  const ParameterTable table(model);
  const Shards shards(table, processes);
  const bool rounded = activations == DType::bfloat16;
  const std::int64_t tokens = tokens_of_step(model, training);
  const auto gradients = GradientSum::memory(table.store_elements(), 1, shards, rank, tokens / processes);
  std::int64_t longest = 0;
  for (int s = 0; s < shards.segments(); ++s) longest = std::max(longest, shards.segment(s).size() * 4);
  return gradients.back().second + 2 * longest + table.store_elements() * (rounded ? 2 : 4) +
         (rounded ? FloatTensors(table).elements() * 4 : 0) + RowWeights::bytes(shards, tokens);
}

void TrainState::put_mine(const Buffer& mine, const std::vector<float>& values) {
  for (int s = 0; s < shards_.segments(); ++s) {
    const Array<float> to = moved(mine, s);
    if (to.count > 0) backend_.upload(to.data, values.data() + shards_.moved(s, world_.rank()).begin, to.count * 4);
  }
}

// Values of a parameter's elements [first, first + count), at most kPutAtOnce, wherever this process keeps them.
void TrainState::put(const Parameter& entry, std::int64_t first, std::int64_t count, const float* values) {
  const std::int64_t begin = entry.offset + first;
  if (!splits_) return backend_.upload(weights_.f32() + begin, values, count * 4);
  for (int s = 0; s < shards_.segments(); ++s) {
    const ElementRange range = shards_.moved(s, world_.rank()), piece = intersection({begin, begin + count}, range);
    if (piece.size() > 0)
      backend_.upload(own_weights(s).from(piece.begin - range.begin, piece.size()).data, values + piece.begin - begin,
                      piece.size() * 4);
  }
  const auto place = floats_.places().find(entry.offset);
  if (place != floats_.places().end()) backend_.upload(weights_.f32() + place->second + first, values, count * 4);
  backend_.upload(staging_.data(), values, count * 4);
  run_once(backend_, Round{staging_.floats().from(0, count), rounded_.halves().from(begin, count)});
}

void TrainState::initialise(std::int64_t seed) {
  std::vector<float> values(kPutAtOnce);
  for (std::size_t index = 0; index < table_.entries().size(); ++index) {  // gaps hold 0
    const Parameter& entry = table_.entries()[index];
    for (std::int64_t first = 0; first < entry.count; first += kPutAtOnce) {
      const std::int64_t count = std::min(kPutAtOnce, entry.count - first);
      longstride::initialise(table_, index, seed, first, count, values.data());
      put(entry, first, count, values.data());
    }
  }
  take_initial_weights();
}

// The average begins with them, and so does the rounded copy.
void TrainState::take_initial_weights() {
  for (int s = 0; average_ && s < shards_.segments(); ++s) {
    const Array<float> to = moved(average_, s);
    if (to.count > 0) backend_.copy(to.data, own_weights(s).data, to.count * 4);
  }
  if (round_) round_->run();
}

void TrainState::begin() {
  begin_->run();
  gradients_.begin_step();
}

void TrainState::end_lane(int lane) {
  backend_.copy(static_cast<double*>(lane_bits_.data()) + lane, sums_.data(), sizeof(double));
  backend_.zero(sums_.data(), sizeof(double));
  gradients_.end_lane(lane);
}

// Everyone's bits and sums of squares, in their places. Where there is one lane they are there already.
void TrainState::gather_sums() {
  if (!exchanges()) return;
  backend_.copy(static_cast<double*>(lane_bits_.data()) + lanes_ - 1, sums_.data(), sizeof(double));
  backend_.wait();
  std::vector<double> bits(static_cast<std::size_t>(training_.lanes));
  double* mine = bits.data() + world_.rank() * lanes_;
  backend_.download(mine, lane_bits_.data(), lane_bits_.bytes());
  world_.all_gather(mine, lane_bits_.bytes(), bits.data());
  const double total = tree_sum(std::move(bits));
  backend_.upload(sums_.data(), &total, sizeof total);
  if (world_.size() == 1) return;
  std::vector<double> squares(static_cast<std::size_t>(squares_.bytes()) / sizeof(double));
  backend_.download(squares.data(), squares_.data(), squares_.bytes());
  std::vector<World::Ticket> tickets;
  const auto place = [&](int s, int p) {
    const ElementRange range = shards_.summed(s, p);
    return World::Piece{squares.data() + range.begin / kSquareSumsChunk,
                        square_sums_of(range.size()) * static_cast<std::int64_t>(sizeof(double))};
  };
  for (int s = 0; s < shards_.segments(); ++s) begin_share(world_, s, place, tickets);
  finish(world_, tickets);
  backend_.upload(squares_.data(), squares.data(), squares_.bytes());
}

TrainState::Sums TrainState::update(double rate, std::int64_t update) {
  gradients_.finish();
  if (square_sums_) square_sums_->run();
  gather_sums();
  const auto steps = static_cast<double>(update);
  StepInputs inputs;
  inputs.rate = static_cast<float>(rate);
  inputs.correction1 = static_cast<float>(1 - std::pow(training_.beta1, steps));
  inputs.correction2 = static_cast<float>(1 - std::pow(training_.beta2, steps));
  update_->run(inputs);
  backend_.wait();
  double sums[2];
  backend_.download(sums, sums_.data(), sizeof sums);
  if (world_.size() > 1) share_weights(RowWeights::Which::moved);  // alone, AdamW has rounded them
  return {sums[0], sums[1], gradients_.waited_s()};
}

// Where others wrote into its memory the backend may keep what it made of the bytes that were there.
void TrainState::take_note(void* memory, std::int64_t bytes) {
  if (backend_.memory_is_hosts()) backend_.copy(memory, memory, bytes);
}

// The tensors that are read in float32: everyone's pieces of them, end to end, then each to its place.
void TrainState::share_floats() {
  std::vector<Carrier::Piece> places;
  float* at = staging_.f32();
  for (int p = 0; p < world_.size(); ++p) {
    Carrier::Piece& all = places.emplace_back(Carrier::Piece{at, 0});
    for (const FloatTensors::Piece& piece : pieces_[static_cast<std::size_t>(p)]) {
      const ElementRange range = shards_.moved(piece.segment, p);
      if (p == world_.rank())
        backend_.copy(at, own_weights(piece.segment).data + piece.element - range.begin, piece.count * 4);
      at += piece.count;
      all.bytes += piece.count * 4;
    }
  }
  carrier_.finish(carrier_.begin_share(places));
  at = staging_.f32();
  for (const std::vector<FloatTensors::Piece>& of_process : pieces_) {
    for (const FloatTensors::Piece& piece : of_process) {
      backend_.copy(weights_.f32() + piece.place, at, piece.count * 4);
      at += piece.count;
    }
  }
}

// Every process gets the weights that the others have moved, as it reads them.
void TrainState::share_weights(RowWeights::Which rows) {
  if (world_.size() > 1) {
    if (splits_ && round_) round_->run();
    const std::int64_t width = splits_ ? 2 : 4;  // bytes
    auto* store = static_cast<char*>(splits_ ? rounded_.data() : weights_.data());
    const auto piece = [&](const ElementRange& range) {
      return Carrier::Piece{store + range.begin * width, range.size() * width};
    };
    const auto before = [&](int s, int p) { return piece(shards_.before_rows(s, p)); };
    const auto behind = [&](int s, int p) { return piece(shards_.behind_rows(s, p)); };
    std::vector<Carrier::Ticket> tickets;
    if (row_weights_) tickets.push_back(row_weights_->begin(rows));
    for (int s = 0; s < shards_.segments(); ++s) begin_share(carrier_, s, before, tickets);
    if (row_weights_) begin_share(carrier_, shards_.segments() - 1, behind, tickets);
    finish(carrier_, tickets);
    if (row_weights_) row_weights_->end();
    take_note(store, table_.store_elements() * width);
    if (splits_) share_floats();
  }
  if (!splits_ && round_) round_->run();
}

void TrainState::exchange() {
  if (!averages()) return;
  if (exchange_) exchange_->run();
  share_weights(RowWeights::Which::every);
}

}  // namespace longstride
