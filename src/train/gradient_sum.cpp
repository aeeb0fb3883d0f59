// This adds lanes, sends what is added to the owners of elements, and adds what comes from the other processes.
#include "train/gradient_sum.h"

#include <algorithm>
#include <bit>
#include <chrono>

namespace longstride {

namespace {

constexpr std::int64_t kFloat = 4;  // bytes

// The longest piece that one process needs of a segment.
std::int64_t longest_piece(const Shards& shards, int rank) {
  std::int64_t longest = 0;
  for (int s = 0; s < shards.segments(); ++s) longest = std::max(longest, shards.needed(s, rank).size());
  return longest;
}

int levels_of(int lanes) { return std::countr_zero(static_cast<unsigned>(lanes)); }

}  // namespace

GradientSum::GradientSum(Backend& backend, std::int64_t store_elements, int lanes, const Shards& shards, World& world)
    : backend_(backend), shards_(shards), world_(world), lane_(backend, store_elements * kFloat) {
  backend.zero(lane_.data(), lane_.bytes());
  for (int level = 0; level < levels_of(lanes); ++level) kept_.emplace_back(backend, lane_.bytes());
  make_folds(lanes);
  if (world.size() == 1) return;
  const std::int64_t others = longest_piece(shards, world.rank()) * (world.size() - 1);
  for (Buffer& buffer : received_) buffer = Buffer(backend, others * kFloat);
  mine_ = Buffer(backend, shards.needed_elements(world.rank()) * kFloat);
  for (int s = 0; s < shards.segments(); ++s) tree_.push_back(make_tree(s));
  tickets_.resize(static_cast<std::size_t>(shards.segments()));
}

// As a binary counter: lane number i closes as many subtrees as its number ends with ones.
void GradientSum::make_folds(int lanes) {
  const auto close = [&](ElementRange range, int subtrees, bool last) {
    std::vector<Operation> operations;
    const Array<float> lane = of_lane(range);
    for (int level = 0; level < subtrees; ++level) {
      const auto at = [&](int of) { return kept_[static_cast<std::size_t>(of)].floats().from(range.begin, range.size()); };
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

Array<float> GradientSum::received(int s, int from) const {
  const ElementRange range = shards_.needed(s, world_.rank());
  if (from == world_.rank()) return of_lane(range);
  const std::int64_t slot = from < world_.rank() ? from : from - 1;
  return received_[static_cast<std::size_t>(s % kInFlight)].floats().from(slot * range.size(), range.size());
}

// ((0 + 1) + (2 + 3)) + ... over processes, the last sum into its place.
std::unique_ptr<Executable> GradientSum::make_tree(int s) {
  if (shards_.needed(s, world_.rank()).size() == 0) return nullptr;
  std::vector<Operation> operations;
  for (int apart = 1; apart < world_.size(); apart *= 2) {
    for (int p = 0; p < world_.size(); p += 2 * apart)
      operations.emplace_back(
          Sum{received(s, p), received(s, p + apart), 2 * apart == world_.size() ? mine(s) : received(s, p)});
  }
  return compile_bound(backend_, std::move(operations));
}

Array<float> GradientSum::mine(int s) const {
  const ElementRange range = shards_.needed(s, world_.rank());
  if (world_.size() == 1) return of_lane(range);
  return mine_.floats().from(shards_.place_of_needed(s, world_.rank()), range.size());
}

void GradientSum::end_lane(int lane) {
  if (const auto& fold = end_lane_[static_cast<std::size_t>(lane)]) return fold->run();
  backend_.copy(kept_[0].data(), lane_.data(), lane_.bytes());
  backend_.zero(lane_.data(), lane_.bytes());
}

void GradientSum::segment_final(int s) {
  if (!last_lane_.empty() && last_lane_[static_cast<std::size_t>(s)]) last_lane_[static_cast<std::size_t>(s)]->run();
  if (world_.size() == 1) return;
  if (begun_ - finished_ == kInFlight) finish_segment(finished_);
  backend_.wait();
  std::vector<World::Piece> sends, receives;
  for (int p = 0; p < world_.size(); ++p) {
    const Array<float> send = of_lane(shards_.needed(s, p)), receive = received(s, p);
    sends.push_back({send.data, send.count * kFloat});
    receives.push_back({receive.data, receive.count * kFloat});
  }
  tickets_[static_cast<std::size_t>(s)] = world_.begin_exchange(sends, receives);
  begun_ = s + 1;
}

void GradientSum::finish_segment(int s) {
  const auto begun = std::chrono::steady_clock::now();
  world_.finish(tickets_[static_cast<std::size_t>(s)]);
  waited_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (const auto& tree = tree_[static_cast<std::size_t>(s)]) tree->run();
  finished_ = s + 1;
}

void GradientSum::finish() {
  if (world_.size() == 1) return;
  while (finished_ < begun_) finish_segment(finished_);
  begun_ = finished_ = 0;
}

std::vector<std::pair<std::string, std::int64_t>> GradientSum::memory(std::int64_t store_elements, int lanes,
                                                                      const Shards& shards, int rank) {
  const std::int64_t store = store_elements * kFloat;
  std::vector<std::pair<std::string, std::int64_t>> parts = {{"gradients", store * (1 + levels_of(lanes))}};
  if (shards.processes() == 1) return parts;
  const std::int64_t others = longest_piece(shards, rank) * (shards.processes() - 1) * kFloat;
  parts.emplace_back("exchange", kInFlight * others + shards.needed_elements(rank) * kFloat);
  return parts;
}

}  // namespace longstride
