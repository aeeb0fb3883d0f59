// This follows which positions reach which through stacked layers.
#include "pattern/reach.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "pattern/runs.h"

namespace longstride {

namespace {

using Word = std::uint64_t;
constexpr int kBits = 64;
constexpr std::int64_t kForwardMost = 4096;                    // 2 MB of sets
constexpr std::int64_t kBackwardMost = std::int64_t{1} << 22;  // some 32 MB a layer
constexpr int kQueriesTried = 8;

// A set of positions.
class Bits {
 public:
  explicit Bits(std::int64_t size) : words_((size + kBits - 1) / kBits) {}
  bool has(std::int64_t x) const { return (words_[x / kBits] >> (x % kBits) & 1) != 0; }

  // Adds [begin, end) and calls visit(x) with each one that was not there.
  template <class Visit>
  void add(std::int64_t begin, std::int64_t end, Visit visit) {
    for (std::int64_t w = begin / kBits; begin < end && w * kBits < end; ++w) {
      const std::int64_t from = std::max(begin - w * kBits, std::int64_t{0}),
                         to = std::min<std::int64_t>(end - w * kBits, kBits);
      Word added = (~Word{0} >> (kBits - (to - from)) << from) & ~words_[w];
      words_[w] |= added;
      for (; added != 0; added &= added - 1) visit(w * kBits + __builtin_ctzll(added));
    }
  }
  void add(std::int64_t x) { words_[x / kBits] |= Word{1} << (x % kBits); }

  // Adds what `other` has up to position `last`. True if something came in.
  bool add(const Bits& other, std::int64_t last) {
    Word changed = 0;
    for (std::int64_t w = 0; w <= last / kBits; ++w) {
      changed |= other.words_[w] & ~words_[w];
      words_[w] |= other.words_[w];
    }
    return changed != 0;
  }
  std::int64_t first_missing() const {
    std::size_t w = 0;
    while (w < words_.size() && words_[w] == ~Word{0}) ++w;
    return static_cast<std::int64_t>(w) * kBits + (w < words_.size() ? __builtin_ctzll(~words_[w]) : 0);
  }

 private:
  std::vector<Word> words_;
};

// What one head's expansions in one layer have already covered, so that no column or summary is walked twice.
struct Walked {
  const Parts* parts;
  std::vector<std::int64_t> cells;  // a summary: cells with a smaller index were added
  std::vector<Bits> chains;         // a column: positions whose earlier keys were added
};

// Everything that arrives at one query, found from the query backward.
class Backward {
 public:
  Backward(const std::vector<Layer>& cycle, std::int64_t query)
      : query_(query), seen_(query + 1), pending_(cycle.size()), walked_(cycle.size()) {
    for (std::size_t b = 0; b < cycle.size(); ++b)
      for (const Parts& parts : cycle[b]) {
        Walked walked{&parts, std::vector<std::int64_t>(parts.summaries.size()), {}};
        walked.chains.assign(parts.diagonals.size(), Bits(query + 1));
        walked_[b].push_back(std::move(walked));
      }
    add(query, query + 1);
  }

  // The number of layers, cycled backward from layer `last`, that gather everything; nothing where none do.
  std::optional<std::int64_t> steps(std::size_t last) {
    std::size_t layer = last, idle = 0;
    for (std::int64_t step = 1;; ++step) {
      settle();
      idle = pending_[layer].empty() ? idle + 1 : 0;
      if (idle >= pending_.size() && count_ <= query_) return std::nullopt;
      for (const std::int64_t k : std::exchange(pending_[layer], {})) {
        for (Walked& walked : walked_[layer]) expand(walked, k);
        if (count_ > query_) break;
      }
      if (count_ > query_) return step;
      layer = (layer + pending_.size() - 1) % pending_.size();
    }
  }

  std::int64_t first_missing() const { return seen_.first_missing(); }

 private:
  void add(std::int64_t begin, std::int64_t end) {
    seen_.add(begin, end, [&](std::int64_t x) { found_.push_back(x); });
    count_ += static_cast<std::int64_t>(found_.size()) - counted_;
    counted_ = static_cast<std::int64_t>(found_.size());
  }

  // What a step found is expanded from the next step on.
  void settle() {
    for (std::vector<std::int64_t>& pending : pending_) pending.insert(pending.end(), found_.begin(), found_.end());
    found_.clear();
    counted_ = 0;
  }

  void expand(Walked& walked, std::int64_t k) {
    const Parts& parts = *walked.parts;
    add(std::max<std::int64_t>(0, k + 1 - parts.window), k + 1);
    if (parts.prefix > 0) add(0, std::min(parts.prefix, k + 1));
    for (const std::int64_t l : parts.rows) add(k / l * l, k + 1);
    for (const std::int64_t l : parts.previous_rows)
      if (k >= l) add(k / l * l - l, k / l * l);
    for (std::size_t s = 0; s < parts.summaries.size(); ++s) {
      const Cells& cells = parts.summaries[s];
      std::int64_t& t = walked.cells[s];
      for (const std::int64_t end = cells.before(k + 1); t < end;) {
        const std::int64_t run = std::min(end - t, cells.count - t % cells.count);
        add(cells.at(t), cells.at(t) + run);
        t += run;
      }
    }
    for (std::size_t d = 0; d < parts.diagonals.size(); ++d) {
      const Diagonal& diagonal = parts.diagonals[d];
      const bool column = diagonal.extent >= parts.n;
      for (std::int64_t j = k; j >= 0 && k - j < diagonal.extent; j -= diagonal.step) {
        if (column && walked.chains[d].has(j)) break;
        walked.chains[d].add(j);
        add(j, j + 1);
      }
    }
  }

  std::int64_t query_;
  Bits seen_;
  std::int64_t count_ = 0, counted_ = 0;
  std::vector<std::int64_t> found_;                 // by the step at hand
  std::vector<std::vector<std::int64_t>> pending_;  // a layer: seen, not yet expanded by it
  std::vector<std::vector<Walked>> walked_;
};

bool windows_only(const std::vector<Layer>& cycle) {
  for (const Layer& layer : cycle)
    for (const Parts& parts : layer)
      if (parts.prefix > 0 || !parts.rows.empty() || !parts.previous_rows.empty() || !parts.summaries.empty() ||
          !parts.diagonals.empty())
        return false;
  return true;
}

// Each layer carries its widest window less one position further.
Reach reach_of_windows(const std::vector<Layer>& cycle, std::int64_t n) {
  std::vector<std::int64_t> further;
  std::int64_t cycle_further = 0;
  for (const Layer& layer : cycle) {
    std::int64_t widest = 1;
    for (const Parts& parts : layer) widest = std::max(widest, parts.window);
    further.push_back(widest - 1);
    cycle_further += widest - 1;
  }
  Reach reach;
  if (cycle_further == 0 && n > 1) {
    reach.query = 1;
    return reach;
  }
  const std::int64_t needed = n - 1, cycles = needed > 0 ? (needed - 1) / cycle_further : 0;
  std::int64_t steps = cycles * static_cast<std::int64_t>(cycle.size()), done = cycles * cycle_further;
  for (std::size_t b = 0; b < cycle.size() && (done < needed || steps == 0); ++b, ++steps) done += further[b];
  reach.all = true;
  reach.steps = static_cast<int>(std::min<std::int64_t>(steps, std::numeric_limits<int>::max()));
  return reach;
}

// The last ones, and a spread whose residues differ for every usual stride.
std::vector<std::int64_t> queries_tried(std::int64_t n) {
  const std::int64_t most = std::min(n, kBackwardMost);
  std::vector<std::int64_t> queries = {most - 1, most - 2};
  for (int q = 1; q <= kQueriesTried - 2; ++q) queries.push_back(most / (kQueriesTried - 1) * q + 13 * q);
  std::sort(queries.begin(), queries.end());
  return queries;
}

}  // namespace

std::vector<Layer> layers_of(const AttentionLayout& layout, std::int64_t heads, std::int64_t n) {
  std::vector<Layer> cycle(layout.blocks.size());
  for (std::size_t b = 0; b < cycle.size(); ++b)
    for (std::int64_t h = 0; h < heads; ++h) {
      const Parts parts = reduce(layout.head(static_cast<std::int64_t>(b), h), n);
      if (std::find(cycle[b].begin(), cycle[b].end(), parts) == cycle[b].end()) cycle[b].push_back(parts);
    }
  return cycle;
}

// arrived(i) after a step = arrived(i) | union of arrived(k) over the keys k of i. Queries go downward, so that
// arrived(k) is still that of the step before.
Reach reach_forward(const std::vector<Layer>& cycle, std::int64_t n) {
  std::vector<Bits> arrived;
  std::vector<char> full(n, 0);
  for (std::int64_t i = 0; i < n; ++i) {
    arrived.emplace_back(i + 1);
    arrived[i].add(i);
  }
  Reach reach;
  std::size_t idle = 0;
  for (int step = 1; idle < cycle.size(); ++step) {
    bool changed = false, all = true;
    for (std::int64_t i = n - 1; i >= 0; --i) {
      if (full[i] != 0) continue;
      for (const Parts& parts : cycle[(step - 1) % cycle.size()])
        RunStreams(parts, i).walk([&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t k = begin; k < std::min(end, i); ++k) changed |= arrived[i].add(arrived[k], k);
        });
      full[i] = arrived[i].first_missing() > i;
      all = all && full[i] != 0;
    }
    if (all) {
      reach.all = true;
      reach.steps = step;
      return reach;
    }
    idle = changed ? 0 : idle + 1;
  }
  reach.query = std::find(full.begin(), full.end(), 0) - full.begin();
  reach.key = arrived[reach.query].first_missing();
  return reach;
}

Reach reach_backward(const std::vector<Layer>& cycle, std::int64_t n, const std::vector<std::int64_t>& queries) {
  Reach reach;
  reach.exact = static_cast<std::int64_t>(queries.size()) == n;
  reach.all = true;
  const std::int64_t blocks = static_cast<std::int64_t>(cycle.size());
  for (const std::int64_t query : queries) {
    std::int64_t least = std::numeric_limits<int>::max();
    for (std::int64_t last = 0; last < blocks; ++last) {
      Backward backward(cycle, query);
      const std::optional<std::int64_t> steps = backward.steps(static_cast<std::size_t>(last));
      if (!steps) {
        reach.all = false;
        reach.steps = 0;
        reach.query = query;
        reach.key = backward.first_missing();
        return reach;
      }
      // Layers 0 .. p - 1 in order, the last of them `last`: p = last + 1 + a multiple of the blocks.
      const std::int64_t cycles = std::max<std::int64_t>(0, *steps - last - 1 + blocks - 1) / blocks;
      least = std::min(least, last + 1 + cycles * blocks);
    }
    reach.steps = std::max(reach.steps, static_cast<int>(least));
  }
  return reach;
}

Reach reach(const AttentionLayout& layout, std::int64_t heads, std::int64_t n) {
  const std::vector<Layer> cycle = layers_of(layout, heads, n);
  if (windows_only(cycle)) return reach_of_windows(cycle, n);
  if (n <= kForwardMost) return reach_forward(cycle, n);
  return reach_backward(cycle, n, queries_tried(n));
}

}  // namespace longstride
