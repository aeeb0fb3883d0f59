// Sequences that several processes make together: which are whose, when all of them stop, and how everyone gets all.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "longstride/sample.h"
#include "parallel/world.h"

namespace longstride {

using Sequences = std::vector<std::vector<std::uint8_t>>;

class Sharing {
 public:
  // Both outlive it.
  Sharing(const SampleOptions& options, World& world)
      : options_(options), world_(world), wants_chosen_(options.chosen != nullptr) {}

  // This process makes the sequences [begin, end). Parts follow one another by rank, and no process has more than the
  // first, which so has the first sequence.
  std::int64_t begin() const { return begin_of(world_.rank()); }
  std::int64_t end() const { return begin_of(world_.rank() + 1); }

  // Whether this process was told to stop, or has heard of another one that was.
  bool stopped() const { return told_to_stop() || stopped_; }
  // Between two tokens. Now and then all processes tell one another who was told to stop.
  void round();
  // Before the first token, all processes together: whether all were asked for the same, and what they want to hear of.
  void begin_together();
  // Whether any process wants to hear of tokens' log probabilities.
  bool wants_chosen() const { return wants_chosen_; }
  // A new token of this process's sequences, for options.chosen, here and in others.
  void chosen(std::int64_t sequence, double log_probability);
  // All sequences, the same in every process; waits for those of the others, and tells options.chosen and made of them.
  // mine[i] is sequence begin() + i, as many as were begun. One that none began is empty; of those at the end none is
  // returned.
  Sequences gather(Sequences mine);

 private:
  // Whole numbers: ceil(count rank / size).
  std::int64_t begin_of(int rank) const { return (options_.count * rank + world_.size() - 1) / world_.size(); }
  bool told_to_stop() const { return options_.stop != nullptr && options_.stop->load(); }
  bool meet(bool done);
  template <class T>
  std::vector<std::vector<T>> gather_rows(const std::vector<std::vector<T>>& mine, std::vector<bool>* begun);
  void tell(std::int64_t sequence, const std::vector<std::uint8_t>& tokens, const std::vector<double>* logs) const;

  const SampleOptions& options_;
  World& world_;
  std::vector<std::vector<double>> logs_;  // of this process's sequences, where others want them
  std::int64_t rounds_ = 0;
  bool wants_chosen_ = false, stopped_ = false;
};

}  // namespace longstride
