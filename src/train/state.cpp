// This holds training's memory, and the programs that begin a step, end it, and put the average in place.
#include "train/state.h"

#include <algorithm>
#include <cmath>

namespace longstride {

namespace {

// Elements, 1 MiB: however large a table is, the host holds no second one.
constexpr std::int64_t kInitialisedAtOnce = std::int64_t{1} << 18;

Buffer zeros(Backend& backend, std::int64_t bytes) {
  Buffer buffer(backend, bytes);
  if (buffer) backend.zero(buffer.data(), bytes);
  return buffer;
}

// Everyone's pieces of all segments, each where place(s, p) says that it lies.
template <class Place>
void share_segments(World& world, const Shards& shards, const Place& place) {
  std::vector<World::Ticket> tickets;
  for (int s = 0; s < shards.segments(); ++s) {
    std::vector<World::Piece> places;
    for (int p = 0; p < world.size(); ++p) places.push_back(place(s, p));
    tickets.push_back(world.begin_share(places));
  }
  for (const World::Ticket ticket : tickets) world.finish(ticket);
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
      lanes_(static_cast<int>(training.lanes) / world.size()),
      shards_(table_, world.size()),
      weights_(zeros(backend, table_.store_elements() * 4)),
      first_moment_(zeros(backend, shards_.moved_elements(world.rank()) * 4)),
      second_moment_(zeros(backend, first_moment_.bytes())),
      average_(zeros(backend, training.ema > 0 ? first_moment_.bytes() : 0)),
      gradients_(backend, table_.store_elements(), lanes_, shards_, world),
      rounded_(zeros(backend, activations == DType::bfloat16 ? weights_.bytes() / 2 : 0)),
      sums_(backend, 32),
      lane_bits_(backend, lanes_ * std::int64_t{8}),
      squares_(backend, square_sums_of(table_.store_elements()) * 8) {
  make_programs();
}

Array<float> TrainState::moved(const Buffer& mine, int segment) const {
  return mine.floats().from(shards_.place_of_moved(segment, world_.rank()), shards_.moved(segment, world_.rank()).size());
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
    const std::int64_t end = entry.by_rows          ? entry.offset + entry.count
                             : next < entries.size() ? entries[next].offset
                                                     : table_.store_elements();
    const std::int64_t from = std::max(entry.offset, mine.begin), count = std::min(end, mine.end) - from;
    if (count <= 0) continue;
    AdamW op;
    op.w = weights_.floats().from(from, count);
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
  std::vector<Operation> sums, update = {GradientNorm{squares, bits(), training_.clip, norm(), scale()}}, exchange;
  for (int s = shards_.segments() - 1; s >= 0; --s) {
    const ElementRange summed = shards_.summed(s, world_.rank()), mine = shards_.moved(s, world_.rank());
    if (summed.size() > 0)  // gaps hold 0
      sums.emplace_back(SquareSums{gradients_.mine(s).from(0, summed.size()),
                                   squares.from(summed.begin / kSquareSumsChunk, square_sums_of(summed.size()))});
    add_adamw(update, s);
    if (average_ && mine.size() > 0)
      exchange.emplace_back(Exchange{weights_.floats().from(mine.begin, mine.size()), moved(average_, s)});
  }
  if (!sums.empty()) square_sums_ = compile_bound(backend_, std::move(sums));
  update_ = compile_bound(backend_, std::move(update));
  if (!exchange.empty()) exchange_ = compile_bound(backend_, std::move(exchange));
  if (rounded_) round_ = compile_bound(backend_, {Round{weights_.floats(), rounded_.halves()}});
}

std::vector<std::pair<std::string, std::int64_t>> TrainState::memory(const ParameterTable& table,
                                                                     const TrainingConfig& training, DType activations,
                                                                     int processes, int rank) {
  const Shards shards(table, processes);
  const std::int64_t bytes = table.store_elements() * 4, moved = shards.moved_elements(rank) * 4;
  std::vector<std::pair<std::string, std::int64_t>> parts = {
      {"weights", bytes + (activations == DType::bfloat16 ? bytes / 2 : 0)}};
  const int lanes = static_cast<int>(training.lanes) / processes;
  for (auto& part : GradientSum::memory(table.store_elements(), lanes, shards, rank)) parts.push_back(std::move(part));
  parts.emplace_back("optimiser", 2 * moved);
  if (training.ema > 0) parts.emplace_back("average", moved);
  return parts;
}

void TrainState::put_mine(const Buffer& mine, const std::vector<float>& values) {
  for (int s = 0; s < shards_.segments(); ++s) {
    const Array<float> to = moved(mine, s);
    if (to.count > 0)
      backend_.upload(to.data, values.data() + shards_.moved(s, world_.rank()).begin, to.count * 4);
  }
}

std::vector<float> TrainState::gather(const Buffer& mine) const {
  backend_.wait();
  const bool first = world_.rank() == 0;
  std::vector<float> all(first ? static_cast<std::size_t>(table_.store_elements()) : 0);
  for (int s = 0; s < shards_.segments(); ++s) {
    std::vector<World::Piece> sends(static_cast<std::size_t>(world_.size())), receives = sends;
    const Array<float> piece = moved(mine, s);
    sends[0] = {piece.data, piece.count * 4};
    for (int p = 0; first && p < world_.size(); ++p)
      receives[static_cast<std::size_t>(p)] = {all.data() + shards_.moved(s, p).begin, shards_.moved(s, p).size() * 4};
    world_.exchange(sends, receives);
  }
  return all;
}

const float* TrainState::host(const Buffer& buffer, std::vector<std::byte>& staging) const {
  backend_.wait();
  return static_cast<const float*>(backend_.readable(buffer.data(), buffer.bytes(), staging));
}

void TrainState::initialise(std::int64_t seed) {
  std::vector<float> values(kInitialisedAtOnce);
  for (std::size_t index = 0; index < table_.entries().size(); ++index) {  // gaps hold 0
    const Parameter& entry = table_.entries()[index];
    for (std::int64_t first = 0; first < entry.count; first += kInitialisedAtOnce) {
      const std::int64_t count = std::min(kInitialisedAtOnce, entry.count - first);
      longstride::initialise(table_, index, seed, first, count, values.data());
      backend_.upload(weights_.f32() + entry.offset + first, values.data(), count * 4);
    }
  }
  take_initial_weights();
}

// The average begins with them, and so does the rounded copy.
void TrainState::take_initial_weights() {
  for (int s = 0; average_ && s < shards_.segments(); ++s) {
    const Array<float> to = moved(average_, s);
    if (to.count > 0)
      backend_.copy(to.data, weights_.f32() + shards_.moved(s, world_.rank()).begin, to.count * 4);
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
  share_segments(world_, shards_, [&](int s, int p) {
    const ElementRange range = shards_.summed(s, p);
    return World::Piece{squares.data() + range.begin / kSquareSumsChunk,
                        square_sums_of(range.size()) * static_cast<std::int64_t>(sizeof(double))};
  });
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
  if (world_.size() > 1) share_weights();  // alone, AdamW has rounded them
  return {sums[0], sums[1], gradients_.waited_s()};
}

// Every process gets the weights that the others have moved, and rounds them.
void TrainState::share_weights() {
  if (world_.size() > 1) {
    backend_.wait();
    share_segments(world_, shards_, [&](int s, int p) {
      const ElementRange range = shards_.moved(s, p);
      return World::Piece{weights_.f32() + range.begin, range.size() * 4};
    });
  }
  if (round_) round_->run();
}

void TrainState::exchange() {
  if (!averages()) return;
  if (exchange_) exchange_->run();
  share_weights();
}

}  // namespace longstride
