// This adds lanes, sends what is added to the owners of elements, and adds what comes from the other processes.
#include "train/gradient_sum.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "ops/memory.h"

namespace longstride {

namespace {

constexpr std::int64_t kFloat = 4;  // bytes

// Room for the longest message of the other processes to this one, of any segment, once for each of them.
std::int64_t received_bytes(const Shards& shards, int rank, std::int64_t tokens) {
  std::int64_t longest = 0;
  for (int s = 0; s < shards.segments(); ++s)
    longest = std::max(longest, parcel_of_gradient(shards, s, rank, tokens).most_bytes());
  return aligned(longest) * (shards.processes() - 1);
}

// Of the messages with lists that process `rank` sends.
std::int64_t packed_bytes(const Shards& shards, int rank, std::int64_t tokens) {
  std::int64_t bytes = 0;
  for (int p = 0; p < shards.processes(); ++p) {
    const Parcel parcel = parcel_of_gradient(shards, shards.segments() - 1, p, tokens);
    if (p != rank && parcel.lists()) bytes += aligned(parcel.most_bytes());
  }
  return bytes;
}

// ((0 + 1) + (2 + 3)) + ..., the last sum into `out`.
void add_tree(std::vector<Operation>& operations, const std::vector<Array<float>>& terms, const Array<float>& out) {
  if (!out) return;
  for (std::size_t apart = 1; apart < terms.size(); apart *= 2) {
    for (std::size_t p = 0; p < terms.size(); p += 2 * apart)
      operations.emplace_back(Sum{terms[p], terms[p + apart], 2 * apart == terms.size() ? out : terms[p]});
  }
}

int levels_of(int lanes) { return std::countr_zero(static_cast<unsigned>(lanes)); }

}  // namespace

GradientSum::GradientSum(Backend& backend, std::int64_t store_elements, int lanes, const Shards& shards,
                         Carrier& carrier, std::int64_t tokens)
    : backend_(backend), shards_(shards), carrier_(carrier), tokens_(tokens), lane_(backend, store_elements * kFloat) {
  backend.zero(lane_.data(), lane_.bytes());
  for (int level = 0; level < levels_of(lanes); ++level) kept_.emplace_back(backend, lane_.bytes());
  make_folds(lanes);
  if (carrier.size() == 1) return;
  for (Buffer& buffer : received_) buffer = Buffer(backend, received_bytes(shards, carrier.rank(), tokens));
  messages_ = Buffer(backend, packed_bytes(shards, carrier.rank(), tokens));
  backend.zero(messages_.data(), messages_.bytes());  // numbers of rows that are not there are sent too
  make_pack();
  for (int s = 0; s < shards.segments(); ++s) tree_.push_back(make_tree(s));
  tickets_.resize(static_cast<std::size_t>(shards.segments()));
}

// As a binary counter: lane number i closes as many subtrees as its number ends with ones.
void GradientSum::make_folds(int lanes) {
  const auto close = [&](ElementRange range, int subtrees, bool last) {
    std::vector<Operation> operations;
    const Array<float> lane = of_lane(range);
    for (int level = 0; level < subtrees; ++level) {
      const auto at = [&](int of) {
        return kept_[static_cast<std::size_t>(of)].floats().from(range.begin, range.size());
      };
      operations.emplace_back(Sum{at(level), lane, !last && level + 1 == subtrees ? at(level + 1) : lane});
    }
    return operations;
  };
  const ElementRange all{0, lane_.bytes() / kFloat};
  for (int lane = 0; lane + 1 < lanes; ++lane) {
    const int subtrees = std::countr_one(static_cast<unsigned>(lane));
    std::vector<Operation> operations = close(all, subtrees, false);
    if (subtrees > 0) operations.emplace_back(Zero{lane_.floats()});
    end_lane_.push_back(subtrees > 0 ? compile_bound(backend_, std::move(operations)) : nullptr);
  }
  for (int s = 0; lanes > 1 && s < shards_.segments(); ++s) {
    const ElementRange range = shards_.segment(s);
    last_lane_.push_back(range.size() > 0 ? compile_bound(backend_, close(range, levels_of(lanes), true)) : nullptr);
  }
}

void* GradientSum::received(int s, int from) const {
  const std::int64_t slot = from < carrier_.rank() ? from : from - 1;
  const Buffer& buffer = received_[static_cast<std::size_t>(s % kInFlight)];
  return static_cast<char*>(buffer.data()) + slot * (buffer.bytes() / (carrier_.size() - 1));
}

void GradientSum::make_pack() {
  std::vector<Operation> operations;
  auto* message = static_cast<char*>(messages_.data());
  for (int p = 0; p < carrier_.size(); ++p) {
    const Parcel to = parcel(shards_.segments() - 1, p);
    if (p == carrier_.rank() || !to.lists()) continue;
    operations.emplace_back(PackRows{of_lane(to.rows), of_lane(to.rows), to.row, to.list_in(message)});
    packed_.push_back({p, to, message});
    message += aligned(to.most_bytes());
  }
  if (!operations.empty()) pack_ = compile_bound(backend_, std::move(operations));
}

void GradientSum::pack() {
  for (const auto& [to, parcel, message] : packed_) {
    backend_.copy(parcel.before_in(message).data, of_lane(parcel.before).data, parcel.before.size() * kFloat);
    backend_.copy(parcel.behind_in(message).data, of_lane(parcel.behind).data, parcel.behind.size() * kFloat);
  }
  if (pack_) pack_->run();
}

// What all processes have of this one's piece is added, into the place that it has here.
std::unique_ptr<Executable> GradientSum::make_tree(int s) {
  const Parcel mine = parcel(s, carrier_.rank());
  std::vector<Array<float>> before, behind;
  SumRows rows{of_lane(mine.rows), mine.row, carrier_.rank(), {}};
  for (int p = 0; p < carrier_.size(); ++p) {
    const bool own = p == carrier_.rank();
    void* message = own ? nullptr : received(s, p);
    before.push_back(own ? of_lane(mine.before) : mine.before_in(message));
    behind.push_back(own ? of_lane(mine.behind) : mine.behind_in(message));
    if (!own && mine.lists()) rows.others.push_back(mine.list_in(message));
  }
  std::vector<Operation> operations;
  add_tree(operations, before, of_lane(mine.before));
  add_tree(operations, behind, of_lane(mine.behind));
  if (mine.lists()) operations.emplace_back(std::move(rows));
  return operations.empty() ? nullptr : compile_bound(backend_, std::move(operations));
}

void GradientSum::end_lane(int lane) {
  if (const auto& fold = end_lane_[static_cast<std::size_t>(lane)]) return fold->run();
  backend_.copy(kept_[0].data(), lane_.data(), lane_.bytes());
  backend_.zero(lane_.data(), lane_.bytes());
}

void GradientSum::segment_final(int s) {
  if (!last_lane_.empty() && last_lane_[static_cast<std::size_t>(s)]) last_lane_[static_cast<std::size_t>(s)]->run();
  if (carrier_.size() == 1) return;
  if (begun_ - finished_ == kInFlight) finish_segment(finished_);
  const bool last = s + 1 == shards_.segments();
  if (last) pack();
  const std::int64_t most = parcel(s, carrier_.rank()).most_bytes();
  std::vector<Carrier::Piece> sends(static_cast<std::size_t>(carrier_.size())), receives = sends;
  for (int p = 0; p < carrier_.size(); ++p) {
    if (p == carrier_.rank()) continue;
    const Parcel to = parcel(s, p);
    if (!to.lists()) sends[static_cast<std::size_t>(p)] = to.sent(backend_, carrier_, of_lane(to.before).data);
    receives[static_cast<std::size_t>(p)] = {received(s, p), most};
  }
  for (const Packed& packed : packed_)
    if (last) sends[static_cast<std::size_t>(packed.to)] = packed.parcel.sent(backend_, carrier_, packed.message);
  tickets_[static_cast<std::size_t>(s)] = carrier_.begin_exchange(sends, receives);
  begun_ = s + 1;
}

void GradientSum::finish_segment(int s) {
  const auto begun = std::chrono::steady_clock::now();
  carrier_.finish(tickets_[static_cast<std::size_t>(s)]);
  waited_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (const auto& tree = tree_[static_cast<std::size_t>(s)]) tree->run();
  finished_ = s + 1;
}

void GradientSum::finish() {
  if (carrier_.size() == 1) return;
  while (finished_ < begun_) finish_segment(finished_);
  begun_ = finished_ = 0;
}

std::vector<std::pair<std::string, std::int64_t>> GradientSum::memory(std::int64_t store_elements, int lanes,
                                                                      const Shards& shards, int rank,
                                                                      std::int64_t tokens) {
  const std::int64_t store = store_elements * kFloat;
  std::vector<std::pair<std::string, std::int64_t>> parts = {{"gradients", store * (1 + levels_of(lanes))}};
  if (shards.processes() == 1) return parts;
  parts.emplace_back("exchange", kInFlight * received_bytes(shards, rank, tokens) + packed_bytes(shards, rank, tokens));
  return parts;
}

}  // namespace longstride
