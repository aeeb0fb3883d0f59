// This chooses a carrier, and carries through the host's memory where there is no other way.
#include "train/carriage.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "longstride/error.h"
#include "ops/memory.h"

namespace longstride {

namespace {

using Memory = std::vector<std::byte>;

// Of exchanges that nobody finishes any more, because of an error: the world may be at it until it goes itself.
void leave_to_the_world(Memory memory) {
  static std::mutex mutex;
  static std::vector<Memory> all;
  const std::scoped_lock lock(mutex);
  all.push_back(std::move(memory));
}

class ThroughHost final : public Carrier {
 public:
  ThroughHost(Backend& backend, World& world) : backend_(backend), world_(world) {}
  ~ThroughHost() override {
    for (UnderWay& exchange : under_way_) leave_to_the_world(std::move(exchange.memory));
  }

  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  bool takes_shorter() const override { return world_.takes_shorter(); }

  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    const auto me = static_cast<std::size_t>(rank());
    if (sends[me].data != receives[me].data && sends[me].bytes > 0)
      backend_.copy(receives[me].data, sends[me].data, sends[me].bytes);
    UnderWay exchange;
    std::vector<Piece> out(sends.begin(), sends.end()), in(receives.begin(), receives.end());
    out[me] = in[me] = {};
    std::int64_t bytes = 0;
    for (std::vector<Piece>* pieces : {&out, &in})
      for (const Piece& piece : *pieces) bytes += aligned(piece.bytes);  // at most: all may be sent the same
    exchange.memory = take(bytes);
    std::byte* free = exchange.memory.data();
    for (std::size_t q = 0; q < out.size(); ++q) {
      if (out[q].bytes == 0) continue;
      const auto same =
          std::find_if(sends.begin(), sends.begin() + static_cast<std::ptrdiff_t>(q), [&](const Piece& one) {
            return &one != &sends[me] && one.data == sends[q].data && one.bytes == sends[q].bytes;
          });
      if (same != sends.begin() + static_cast<std::ptrdiff_t>(q)) {
        out[q] = out[static_cast<std::size_t>(same - sends.begin())];
        continue;
      }
      out[q].data = free;
      backend_.download(free, sends[q].data, sends[q].bytes);
      free += aligned(out[q].bytes);
    }
    for (Piece& piece : in) {
      if (piece.bytes == 0) continue;
      exchange.arrivals.push_back({piece.data, free, piece.bytes});
      piece.data = free;
      free += aligned(piece.bytes);
    }
    exchange.of_world = world_.begin_exchange(out, in);
    under_way_.push_back(std::move(exchange));
    return next_++;
  }

  // Of what may come shorter all that there is room for is uploaded: who reads it knows how much it is.
  void finish([[maybe_unused]] Ticket ticket) override {
    assert(ticket == next_ - std::ssize(under_way_));
    UnderWay& exchange = under_way_.front();
    world_.finish(exchange.of_world);
    for (const Arrival& arrival : exchange.arrivals) backend_.upload(arrival.to, arrival.from, arrival.bytes);
    idle_.push_back(std::move(exchange.memory));
    under_way_.pop_front();
  }

 private:
  struct Arrival {
    void* to;
    const std::byte* from;
    std::int64_t bytes;
  };
  struct UnderWay {
    Ticket of_world = 0;
    Memory memory;
    std::vector<Arrival> arrivals;
  };

  // The smallest that is large enough; where there is none a new one, in the place of the largest.
  Memory take(std::int64_t bytes) {
    const auto by_size = [](const Memory& a, const Memory& b) { return a.size() < b.size(); };
    std::sort(idle_.begin(), idle_.end(), by_size);
    const auto wanted = static_cast<std::size_t>(bytes);
    auto found = std::find_if(idle_.begin(), idle_.end(), [&](const Memory& one) { return one.size() >= wanted; });
    if (found == idle_.end()) {
      if (!idle_.empty()) idle_.pop_back();
      return Memory(wanted);
    }
    Memory taken = std::move(*found);
    idle_.erase(found);
    return taken;
  }

  Backend& backend_;
  World& world_;
  std::deque<UnderWay> under_way_;
  std::vector<Memory> idle_;
  Ticket next_ = 0;
};

// Of all processes the first reason why they cannot; empty: they can.
std::string first_reason(World& world, const std::string& mine) {
  for (const std::string& reason : gather(world, mine))
    if (!reason.empty()) return reason;
  return "";
}

}  // namespace

std::unique_ptr<Carrier> carrier_through_host(Backend& backend, World& world) {
  return std::make_unique<ThroughHost>(backend, world);
}

Carriage::Carriage(Backend& backend, World& world) : world_(world) {
  if (world.size() == 1 || backend.memory_is_hosts()) return;
  std::string why_not = first_reason(world, backend.why_no_carrier());
  if (why_not.empty()) {
    std::string failure;
    try {
      own_ = backend.make_carrier(world);
    } catch (const Error& error) {
      failure = error.what();
    }
    why_not = first_reason(world, failure);
  }
  if (why_not.empty()) return;
  own_ = carrier_through_host(backend, world);
  detour_ = "what the processes exchange goes through the memory of the host, which takes longer: " + why_not;
}

}  // namespace longstride
