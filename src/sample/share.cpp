// This lets processes that sample together hear of one another, and brings their sequences to all of them.
#include "sample/share.h"

#include <algorithm>

namespace longstride {

namespace {

// Tokens of each sequence between two meetings: a fraction of a second, and a meeting is a small fraction of that.
constexpr std::int64_t kRoundsBetween = 64;
constexpr std::int64_t kNotBegun = -1;

}  // namespace

// Whether all processes are done; afterwards stopped() is the same in all of them.
bool Sharing::meet(bool done) {
  struct State {
    bool stopped, done;
  };
  const State mine{stopped(), done};
  std::vector<State> all(static_cast<std::size_t>(world_.size()));
  world_.all_gather(&mine, sizeof mine, all.data());
  stopped_ = std::any_of(all.begin(), all.end(), [](const State& one) { return one.stopped; });
  return std::all_of(all.begin(), all.end(), [](const State& one) { return one.done; });
}

void Sharing::round() {
  if (world_.size() > 1 && ++rounds_ % kRoundsBetween == 0) meet(false);
}

Sequences Sharing::gather(Sequences mine) {
  if (world_.size() == 1) return mine;
  while (!meet(true)) {
  }
  const auto count = static_cast<std::size_t>(options_.count), first = static_cast<std::size_t>(begin());
  // Everyone's pieces of a row in which sequence i has its elements from place(i) on.
  const auto share = [&](auto* row, const auto& place) {
    std::vector<World::Piece> places;
    for (int p = 0; p < world_.size(); ++p) {
      const std::int64_t from = place(begin_of(p)), to = place(begin_of(p + 1));
      places.push_back({row + from, (to - from) * static_cast<std::int64_t>(sizeof *row)});
    }
    world_.finish(world_.begin_share(places));
  };
  std::vector<std::int64_t> lengths(count, kNotBegun);
  for (std::size_t i = 0; i < mine.size(); ++i) lengths[first + i] = std::ssize(mine[i]);
  share(lengths.data(), [](std::int64_t i) { return i; });

  std::vector<std::int64_t> places = {0};  // of sequences, end to end
  for (const std::int64_t length : lengths) places.push_back(places.back() + std::max<std::int64_t>(0, length));
  std::vector<std::uint8_t> row(static_cast<std::size_t>(places.back()));
  for (std::size_t i = 0; i < mine.size(); ++i) std::copy(mine[i].begin(), mine[i].end(), row.begin() + places[first + i]);
  share(row.data(), [&](std::int64_t i) { return places[static_cast<std::size_t>(i)]; });

  Sequences all;
  for (std::size_t i = 0; i < count; ++i) {
    if (lengths[i] == kNotBegun) continue;
    all.resize(i + 1);
    all[i].assign(row.begin() + places[i], row.begin() + places[i + 1]);
    if (i < first || i >= static_cast<std::size_t>(end())) tell(static_cast<std::int64_t>(i), all[i]);
  }
  return all;
}

void Sharing::tell(std::int64_t sequence, const std::vector<std::uint8_t>& tokens) const {
  if (!options_.made) return;
  for (std::size_t at = options_.prompt(sequence).size(); at < tokens.size(); ++at) options_.made(sequence, tokens[at]);
}

}  // namespace longstride
