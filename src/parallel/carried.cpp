// This is the side of the callers: they ask, wait, and hear how it ended.
#include "parallel/carried.h"

#include <utility>

#include "longstride/error.h"

namespace longstride {

World::Ticket CarriedWorld::begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) {
  const auto me = static_cast<std::size_t>(rank());
  copy_own(sends[me], receives[me]);
  const std::scoped_lock lock(mutex_);
  asked_.push_back({next_, {sends.begin(), sends.end()}, {receives.begin(), receives.end()}});
  wake();
  return next_++;
}

void CarriedWorld::finish(Ticket exchange) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return arrived_.contains(exchange) || failure_; });
  if (arrived_.erase(exchange) == 0) std::rethrow_exception(failure_);
}

void CarriedWorld::break_off(const std::string& why) noexcept {
  const std::scoped_lock lock(mutex_);
  broken_ = std::make_exception_ptr(Error(ErrorKind::unavailable, why));
  if (failure_) failure_ = broken_;
  wake();
}

void CarriedWorld::require_all() {
  const std::scoped_lock lock(mutex_);
  if (broken_ || failure_) std::rethrow_exception(broken_ ? broken_ : failure_);
}

void CarriedWorld::end() {
  const std::scoped_lock lock(mutex_);
  ending_ = true;
  wake();
}

void CarriedWorld::arrive(std::set<Ticket> arrived) {
  if (arrived.empty()) return;
  const std::scoped_lock lock(mutex_);
  arrived_.merge(arrived);
  changed_.notify_all();
}

void CarriedWorld::carried(std::exception_ptr failure) {
  const std::scoped_lock lock(mutex_);
  failure_ = broken_ ? broken_ : std::move(failure);
  changed_.notify_all();
}

}  // namespace longstride
