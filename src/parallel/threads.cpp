// Threads of one process as ranks. An exchange is a row of notes on a board: each rank says where its pieces lie, takes
// from the others' memory what is for it, and waits until all have taken what is theirs.
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "longstride/error.h"
#include "parallel/world.h"

namespace longstride {

namespace {

struct Row {
  std::vector<std::vector<World::Piece>> sends;  // by rank; empty: not there yet
  int posted = 0, taken = 0, left = 0;
};

struct Board {
  explicit Board(int ranks) : size(ranks) {}
  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<World::Ticket, Row> rows;
  int ended = -1;  // a rank that threw
};

// What a rank throws that only hears of another one's end.
struct Orphaned : Error {
  explicit Orphaned(int by) : Error(ErrorKind::unavailable, "rank " + std::to_string(by) + " has ended") {}
};

class WorldOfThreads : public World {
 public:
  WorldOfThreads(Board& board, int rank) : board_(board), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return board_.size; }

  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    const std::scoped_lock lock(board_.mutex);
    Row& row = board_.rows[next_];
    row.sends.resize(static_cast<std::size_t>(board_.size));
    row.sends[static_cast<std::size_t>(rank_)].assign(sends.begin(), sends.end());
    ++row.posted;
    receives_[next_].assign(receives.begin(), receives.end());
    board_.changed.notify_all();
    return next_++;
  }

  void finish(Ticket exchange) override {
    std::unique_lock lock(board_.mutex);
    Row& row = board_.rows.at(exchange);
    wait(lock, [&] { return row.posted == board_.size; });
    lock.unlock();
    const std::vector<Piece>& receives = receives_.at(exchange);
    for (std::size_t p = 0; p < receives.size(); ++p) take(receives[p], row.sends[p][static_cast<std::size_t>(rank_)]);
    receives_.erase(exchange);
    lock.lock();
    ++row.taken;
    board_.changed.notify_all();
    wait(lock, [&] { return row.taken == board_.size; });
    if (++row.left == board_.size) board_.rows.erase(exchange);
  }

  void require_all() override {
    const std::scoped_lock lock(board_.mutex);
    if (board_.ended >= 0) throw Orphaned(board_.ended);
  }

 private:
  template <class Done>
  void wait(std::unique_lock<std::mutex>& lock, const Done& done) {
    board_.changed.wait(lock, [&] { return done() || board_.ended >= 0; });
    if (!done()) throw Orphaned(board_.ended);
  }
  static void take(const Piece& to, const Piece& from) {
    if (to.data != from.data && from.bytes > 0) std::memcpy(to.data, from.data, static_cast<std::size_t>(from.bytes));
  }

  Board& board_;
  const int rank_;
  Ticket next_ = 0;
  std::map<Ticket, std::vector<Piece>> receives_;
};

}  // namespace

void run_threads(int size, const std::function<void(World&)>& body) {
  Board board(size);
  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(size));
  const auto one = [&](int rank) {
    try {
      WorldOfThreads world(board, rank);
      body(world);
      return;
    } catch (const Orphaned&) {
    } catch (...) {
      thrown[static_cast<std::size_t>(rank)] = std::current_exception();
    }
    const std::scoped_lock lock(board.mutex);
    if (board.ended < 0) board.ended = rank;
    board.changed.notify_all();
  };
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back(one, rank);
  threads.clear();  // joins
  for (const std::exception_ptr& error : thrown)
    if (error) std::rethrow_exception(error);
}

}  // namespace longstride
