// This lets processes that sample together hear of one another, and brings their sequences to all of them.
#include "sample/share.h"

#include <algorithm>
#include <span>
#include <string>

#include <fmt/format.h>

#include "io/sha256.h"
#include "model/precision.h"
#include "parallel/agreement.h"

namespace longstride {

namespace {

// Tokens of each sequence between two meetings: a fraction of a second, and a meeting is a small fraction of that.
constexpr std::int64_t kRoundsBetween = 64;
constexpr std::int64_t kNotBegun = -1;

// Bytes of several lists, and where one ends.
std::string mark_of(const std::vector<std::vector<std::uint8_t>>& lists) {
  Sha256 mark;
  for (const std::vector<std::uint8_t>& list : lists) {
    const std::string length = std::to_string(list.size()) + " ";
    mark.update(std::span(reinterpret_cast<const std::uint8_t*>(length.data()), length.size()));
    mark.update(list);
  }
  return mark.hex().substr(0, 12);
}

Asked asked(const SampleOptions& options) {
  const auto number = [](auto value) { return fmt::format("{}", value); };
  return {{"--count", number(options.count)},
          {"--tokens", number(options.tokens)},
          {"--temperature", number(options.temperature)},
          {"--top-k", number(options.top_k)},
          {"--top-p", number(options.top_p)},
          {"--min-p", number(options.min_p)},
          {"--seed", number(options.seed)},
          {"--precision", to_string(options.precision)},
          {"--exact", number(options.exact)},
          {"the sha256 of what is given", mark_of(options.prompts)},
          {"the sha256 of --stop", mark_of(options.stops)}};
}

}  // namespace

void Sharing::begin_together() {
  if (world_.size() == 1) return;
  require_same_options(world_, "sample", asked(options_));
  std::vector<char> all(static_cast<std::size_t>(world_.size()));
  const char mine = wants_chosen_ ? 1 : 0;
  world_.all_gather(&mine, 1, all.data());
  wants_chosen_ = std::any_of(all.begin(), all.end(), [](char wants) { return wants != 0; });
}

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

void Sharing::chosen(std::int64_t sequence, double log_probability) {
  if (options_.chosen) options_.chosen(sequence, log_probability);
  if (world_.size() == 1) return;
  const auto index = static_cast<std::size_t>(sequence - begin());
  if (logs_.size() <= index) logs_.resize(index + 1);
  logs_[index].push_back(log_probability);
}

// A row a sequence, of all processes'. begun: whether there was one, where it is asked for.
template <class T>
std::vector<std::vector<T>> Sharing::gather_rows(const std::vector<std::vector<T>>& mine, std::vector<bool>* begun) {
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
  std::vector<T> row(static_cast<std::size_t>(places.back()));
  for (std::size_t i = 0; i < mine.size(); ++i)
    std::copy(mine[i].begin(), mine[i].end(), row.begin() + places[first + i]);
  share(row.data(), [&](std::int64_t i) { return places[static_cast<std::size_t>(i)]; });

  std::vector<std::vector<T>> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i].assign(row.begin() + places[i], row.begin() + places[i + 1]);
  if (begun != nullptr)
    for (const std::int64_t length : lengths) begun->push_back(length != kNotBegun);
  return all;
}

Sequences Sharing::gather(Sequences mine) {
  if (world_.size() == 1) return mine;
  while (!meet(true)) {
  }
  std::vector<bool> begun;
  Sequences all = gather_rows(mine, &begun);
  std::vector<std::vector<double>> logs;
  if (wants_chosen_) logs = gather_rows(logs_, nullptr);
  while (!all.empty() && !begun[all.size() - 1]) all.pop_back();
  for (std::int64_t i = 0; i < std::ssize(all); ++i) {
    const auto index = static_cast<std::size_t>(i);
    if (begun[index] && (i < begin() || i >= end())) tell(i, all[index], options_.chosen ? &logs[index] : nullptr);
  }
  return all;
}

void Sharing::tell(std::int64_t sequence, const std::vector<std::uint8_t>& tokens,
                   const std::vector<double>* logs) const {
  const std::size_t given = options_.prompt(sequence).size();
  for (std::size_t at = given; at < tokens.size(); ++at) {
    if (logs != nullptr && at - given < logs->size()) options_.chosen(sequence, (*logs)[at - given]);
    if (options_.made) options_.made(sequence, tokens[at]);
  }
}

}  // namespace longstride
