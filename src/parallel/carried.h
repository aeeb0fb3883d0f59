// What worlds have in common whose bytes a thread of their own carries: the exchanges that wait for it, those that have
// arrived, and what ended it all.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "parallel/world.h"

namespace longstride {

class CarriedWorld : public World {
 public:
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) final;
  void finish(Ticket exchange) final;
  void break_off(const std::string& why) noexcept final;
  void require_all() final;

 protected:
  struct Asked {
    Ticket ticket;
    std::vector<Piece> sends, receives;
  };

  // Lets the carrier look: something was asked for, or all is over.
  virtual void wake() noexcept = 0;
  // To be called by destructors, before they join the carrier.
  void end();

  // The carrier's: these exchanges are done; it ends, by a failure or, as it should, by none.
  void arrive(std::set<Ticket> arrived);
  void carried(std::exception_ptr failure);

  std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  std::deque<Asked> asked_;  // that the carrier has not taken yet
  bool ending_ = false;
  std::exception_ptr broken_, failure_;  // what break_off said; why nothing is carried any more

 private:
  std::set<Ticket> arrived_;
  Ticket next_ = 0;
};

}  // namespace longstride
