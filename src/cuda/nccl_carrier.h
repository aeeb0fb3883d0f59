// An exchange as one group of NCCL's sends and receives, in a stream of its own beside that of the card's work: it
// begins when the work before it is done, and the host waits for its end, looking meanwhile whether a process has been
// lost. NCCL adds nothing here. Its calls return at once (a communicator that does not block), so that no call waits
// for a process that is no more.
#pragma once

#include <cuda_runtime_api.h>

#include <deque>
#include <utility>
#include <vector>

#include "cuda/card.h"
#include "cuda/nccl_calls.h"
#include "parallel/world.h"

namespace longstride::cuda {

// How long it waits for what the others have to do as well, seconds.
struct NcclPatience {
  double start_s = 120;     // for them to begin; connections of large machines take long
  double parting_s = 10;    // for them to end
  double judgement_s = 10;  // for the world to say who was lost, where NCCL says that somebody was
};

class NcclCarrier final : public Carrier {
 public:
  // All three outlive it. All of `world` make one, each of a card of its own. Error unavailable.
  NcclCarrier(const NcclCalls& calls, Card& card, World& world, NcclPatience patience = {});
  ~NcclCarrier() override;

  int rank() const override { return world_.rank(); }
  int size() const override { return world_.size(); }
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override;
  // Errors are the world's where it knows of a loss. After one nothing is exchanged any more.
  void finish(Ticket exchange) override;
  bool takes_shorter() const override { return false; }  // NCCL wants both sides to name the same number

 private:
  class Event {
   public:
    Event();
    ~Event();
    Event(Event&& other) noexcept : made(std::exchange(other.made, nullptr)) {}
    Event& operator=(Event&& other) noexcept {
      std::swap(made, other.made);
      return *this;
    }
    cudaEvent_t made = nullptr;
  };
  struct OwnStream {
    explicit OwnStream(const Card& card);
    ~OwnStream();
    OwnStream(const OwnStream&) = delete;
    OwnStream& operator=(const OwnStream&) = delete;
    cudaStream_t made = nullptr;
  };

  void start();
  void group(std::span<const Piece> sends, std::span<const Piece> receives);
  ncclResult_t look(const char* what);
  void settle(ncclResult_t result, const char* what, double seconds);
  [[noreturn]] void fail(ncclResult_t result, const char* what);
  void give_up() noexcept;

  const NcclCalls& calls_;
  Card& card_;
  World& world_;
  const NcclPatience patience_;
  OwnStream stream_;
  ncclComm_t comm_ = nullptr;    // none: it has failed
  Event ready_;                  // of the card's work before an exchange
  std::deque<Event> under_way_;  // the ends of exchanges
  std::vector<Event> idle_;
  Ticket next_ = 0;
};

}  // namespace longstride::cuda
