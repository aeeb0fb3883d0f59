// MPI as the carrier. One thread of each process makes every call of MPI and looks, while something is on its way,
// whether more of it has arrived: so bytes move while the others compute, and a library without thread support serves.
// Where nothing is to be done it waits without taking a processor.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "longstride/error.h"
#include "longstride/processes.h"
#include "parallel/carried.h"
#include "parallel/mpi.h"

namespace longstride {

namespace {

constexpr std::int64_t kMostBytes = World::kMostOpenBytes;                 // of one message: counts of MPI are ints
constexpr int kTags = 32768;                                               // that every MPI has
constexpr std::chrono::microseconds kShortestLook{20}, kLongestLook{500};  // between two looks at what is on its way

void require(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  char words[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(status, words, &length);
  throw Error(ErrorKind::unavailable,
              std::string("MPI: ") + what + ": " + std::string(words, static_cast<std::size_t>(length)));
}

class WorldOfMpi final : public CarriedWorld {
 public:
  WorldOfMpi() : carrier_([this] { carry(); }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return size_ > 0 || failure_; });
    if (!failure_) return;
    lock.unlock();
    carrier_.join();
    std::rethrow_exception(failure_);
  }
  ~WorldOfMpi() override {
    end();
    if (carrier_.joinable()) carrier_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  void wake() noexcept override { changed_.notify_all(); }

  // Broken off, it ends without a word to MPI, which would wait for what does not come.
  void carry() {
    try {
      begin();
      while (look()) {
      }
      MPI_Finalize();
    } catch (...) {
      carried(std::current_exception());
    }
  }

  void begin() {
    int provided = 0, rank = 0, size = 0;
    require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "start");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    require(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "rank");
    require(MPI_Comm_size(MPI_COMM_WORLD, &size), "size");
    const std::scoped_lock lock(mutex_);
    rank_ = rank;
    size_ = size;
    changed_.notify_all();
  }

  // Posts what was asked for and looks at what is on its way. False where all is over.
  bool look() {
    std::deque<Asked> asked;
    {
      std::unique_lock lock(mutex_);
      const auto woken = [&] { return ending_ || broken_ || !asked_.empty(); };
      if (under_way_.empty())
        changed_.wait(lock, woken);
      else
        changed_.wait_for(lock, pause_, woken);
      if (broken_) std::rethrow_exception(broken_);
      asked.swap(asked_);
      if (ending_ && asked.empty() && under_way_.empty()) return false;
    }
    bool moved = !asked.empty();
    for (const Asked& exchange : asked) post(exchange);
    std::set<Ticket> arrived;
    for (auto& [ticket, requests] : under_way_) {
      int all = 0;
      require(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, MPI_STATUSES_IGNORE), "exchange");
      if (all) arrived.insert(ticket);
    }
    for (const Ticket ticket : arrived) under_way_.erase(ticket);
    moved = moved || !arrived.empty();
    pause_ = moved ? kShortestLook : std::min(2 * pause_, kLongestLook);
    arrive(std::move(arrived));
    return true;
  }

  void post(const Asked& exchange) {
    std::vector<MPI_Request>& requests = under_way_[exchange.ticket];
    const int tag = static_cast<int>(exchange.ticket % kTags);
    const auto messages = [&](const Piece& piece, const auto& start) {
      for (std::int64_t at = 0; at < piece.bytes; at += kMostBytes) {
        requests.emplace_back();
        require(start(static_cast<char*>(piece.data) + at, static_cast<int>(std::min(kMostBytes, piece.bytes - at)),
                      &requests.back()),
                "message");
      }
    };
    for (int away = 1; away < size_; ++away) {  // each begins with another one
      const int from = (rank_ + size_ - away) % size_, to = (rank_ + away) % size_;
      messages(exchange.receives[static_cast<std::size_t>(from)], [&](void* data, int bytes, MPI_Request* request) {
        return MPI_Irecv(data, bytes, MPI_BYTE, from, tag, MPI_COMM_WORLD, request);
      });
      messages(exchange.sends[static_cast<std::size_t>(to)], [&](void* data, int bytes, MPI_Request* request) {
        return MPI_Isend(data, bytes, MPI_BYTE, to, tag, MPI_COMM_WORLD, request);
      });
    }
  }

  int rank_ = 0, size_ = 0;
  // Of the carrier alone:
  std::map<Ticket, std::vector<MPI_Request>> under_way_;
  std::chrono::microseconds pause_ = kShortestLook;
  std::thread carrier_;  // last: it uses all of the above
};

}  // namespace

bool built_with_mpi() { return true; }
std::unique_ptr<World> world_of_mpi() { return std::make_unique<WorldOfMpi>(); }

}  // namespace longstride
