// This puts exchanges into a stream, and waits for them without losing sight of the other processes.
#include "cuda/nccl_carrier.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "cuda/status.h"
#include "longstride/error.h"

namespace longstride::cuda {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kForever = std::numeric_limits<double>::infinity();

double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

// Longer and longer pauses between two looks.
class Pauses {
 public:
  void pause() {
    std::this_thread::sleep_for(next_);
    next_ = std::min(2 * next_, std::chrono::microseconds(500));
  }

 private:
  std::chrono::microseconds next_{20};
};

// NCCL's own words, as far as the end of the line.
std::string details(const char* said) {
  std::string words = said != nullptr ? said : "";
  words = words.substr(0, words.find('\n'));
  return words.empty() ? "" : " (" + words + ")";
}

}  // namespace

NcclCarrier::Event::Event() { require(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "an event"); }
NcclCarrier::Event::~Event() {
  if (made != nullptr) cudaEventDestroy(made);
}

NcclCarrier::OwnStream::OwnStream(const Card& card) {
  card.use();
  require(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "a stream");
}
NcclCarrier::OwnStream::~OwnStream() { cudaStreamDestroy(made); }

NcclCarrier::NcclCarrier(const NcclCalls& calls, Card& card, World& world, NcclPatience patience)
    : calls_(calls), card_(card), world_(world), patience_(patience), stream_(card) {
  start();
}

// What has been exchanged may still be on its way to the others, of which NCCL knows.
NcclCarrier::~NcclCarrier() {
  try {
    card_.use();
    if (comm_ != nullptr && under_way_.empty()) {
      settle(calls_.comm_finalize(comm_), "the end", patience_.parting_s);
      calls_.comm_destroy(std::exchange(comm_, nullptr));
    }
  } catch (const Error&) {  // it ends without the others
  }
  give_up();
}

// Where the first process cannot begin all hear of it.
void NcclCarrier::start() {
  struct {
    ncclResult_t result = ncclSuccess;
    ncclUniqueId id = {};
  } meeting;
  if (rank() == 0) meeting.result = calls_.get_unique_id(&meeting.id);
  world_.broadcast(&meeting, sizeof meeting);
  if (meeting.result != ncclSuccess) fail(meeting.result, "the start");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  settle(calls_.comm_init_rank_config(&comm_, size(), meeting.id, rank(), &config), "the start", patience_.start_s);
}

Carrier::Ticket NcclCarrier::begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) {
  if (comm_ == nullptr) throw Error(ErrorKind::unavailable, "nccl: an exchange failed: one before has failed");
  card_.use();
  const auto me = static_cast<std::size_t>(rank());
  if (sends[me].data != receives[me].data) card_.copy(receives[me].data, sends[me].data, sends[me].bytes);
  require(cudaEventRecord(ready_.made, static_cast<cudaStream_t>(card_.stream().handle)), "an event");
  require(cudaStreamWaitEvent(stream_.made, ready_.made, 0), "a wait for an event");
  group(sends, receives);
  if (idle_.empty()) idle_.emplace_back();
  require(cudaEventRecord(idle_.back().made, stream_.made), "an event");
  under_way_.push_back(std::move(idle_.back()));
  idle_.pop_back();
  return next_++;
}

// All at once, for each waits for its counterpart.
void NcclCarrier::group(std::span<const Piece> sends, std::span<const Piece> receives) {
  const auto any = [&](std::span<const Piece> pieces) {
    const auto goes = [&](const Piece& piece) { return piece.bytes > 0 && &piece != &pieces[0] + rank(); };
    return std::any_of(pieces.begin(), pieces.end(), goes);
  };
  if (!any(sends) && !any(receives)) return;
  ncclResult_t asked = calls_.group_start();
  if (asked != ncclSuccess) fail(asked, "an exchange");
  const auto ask = [&](const auto& call, const Piece& piece, int peer) {
    if (piece.bytes == 0 || asked != ncclSuccess) return;
    const ncclResult_t result =
        call(piece.data, static_cast<std::size_t>(piece.bytes), ncclInt8, peer, comm_, stream_.made);
    if (result != ncclInProgress) asked = result;
  };
  for (int away = 1; away < size(); ++away) {  // each begins with another one
    const int from = (rank() + size() - away) % size(), to = (rank() + away) % size();
    ask(calls_.recv, receives[static_cast<std::size_t>(from)], from);
    ask(calls_.send, sends[static_cast<std::size_t>(to)], to);
  }
  const ncclResult_t ended = calls_.group_end();
  settle(asked != ncclSuccess ? asked : ended, "an exchange", kForever);
}

void NcclCarrier::finish([[maybe_unused]] Ticket exchange) {
  assert(exchange == next_ - std::ssize(under_way_));
  card_.use();
  Pauses pauses;
  while (true) {
    if (comm_ == nullptr) throw Error(ErrorKind::unavailable, "nccl: an exchange failed: one before has failed");
    const cudaError_t status = cudaEventQuery(under_way_.front().made);
    if (status == cudaSuccess) break;
    if (status != cudaErrorNotReady) {
      give_up();
      require(status, "an exchange");
    }
    cudaGetLastError();  // the next launch of a kernel would be blamed for it
    look("an exchange");
    pauses.pause();
  }
  idle_.push_back(std::move(under_way_.front()));
  under_way_.pop_front();
}

// ncclSuccess or ncclInProgress; what else there is ends it.
ncclResult_t NcclCarrier::look(const char* what) {
  try {
    world_.require_all();
  } catch (const Error&) {
    give_up();
    throw;
  }
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = calls_.comm_get_async_error(comm_, &state);
  if (asked != ncclSuccess) fail(asked, what);
  if (state != ncclSuccess && state != ncclInProgress) fail(state, what);
  return state;
}

// Until a call is done that has returned `result`; for so many seconds.
void NcclCarrier::settle(ncclResult_t result, const char* what, double seconds) {
  const Clock::time_point begun = Clock::now();
  for (Pauses pauses; result == ncclInProgress; result = look(what)) {
    if (seconds_since(begun) > seconds) {
      give_up();
      throw Error(ErrorKind::unavailable,
                  fmt::format("nccl: {} failed: not all processes have come within {:g} s", what, seconds));
    }
    pauses.pause();
  }
  if (result != ncclSuccess) fail(result, what);
}

// Where another process has ended the world knows which.
void NcclCarrier::fail(ncclResult_t result, const char* what) {
  const std::string words = fmt::format("nccl: {} failed: {}{}", what, calls_.get_error_string(result),
                                        details(calls_.get_last_error(comm_)));
  give_up();
  if (result == ncclRemoteError || result == ncclSystemError) {
    const Clock::time_point begun = Clock::now();
    Pauses pauses;
    do {
      world_.require_all();
      pauses.pause();
    } while (seconds_since(begun) < patience_.judgement_s);
  }
  throw Error(ErrorKind::unavailable, words);
}

// What waits on the card for others ends, so that its memory can be given back.
void NcclCarrier::give_up() noexcept {
  if (comm_ != nullptr) calls_.comm_abort(std::exchange(comm_, nullptr));
}

}  // namespace longstride::cuda
