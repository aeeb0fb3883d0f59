// This carries bytes over TCP. What goes from one process to another is a row of pieces in the order of exchanges, each
// behind a header that says of which exchange it is and how long.
#include "parallel/tcp.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"
#include "parallel/carried.h"

namespace longstride {

using net::Clock;

namespace {

constexpr std::chrono::seconds kHello{5};  // for what has connected to say who it is

// The first bytes of a connection for data.
struct Hello {
  char key[16] = {};
  std::int64_t rank = 0;
};

Hello hello_of(const std::string& key, int rank) {
  Hello hello;
  std::memcpy(hello.key, key.data(), std::min(key.size(), sizeof hello.key));
  hello.rank = rank;
  return hello;
}

struct Header {
  World::Ticket ticket = 0;
  std::int64_t bytes = 0;
};

// A piece on its way, header first.
struct Part {
  Header header;  // of what is received: its bytes are the most that there may be, until its own header has come
  char* data = nullptr;
  std::size_t of_header = 0;  // bytes of it that are done
  std::int64_t done = 0;
};

// The connection with another process.
struct Line {
  Descriptor socket{-1};
  std::string words;  // process 2 of 4 on b
  std::deque<Part> out, in;
  Header came;  // of the first of `in`
};

class WorldOfTcp final : public CarriedWorld {
 public:
  WorldOfTcp(int rank, std::vector<Line> lines)
      : rank_(rank),
        lines_(std::move(lines)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        carrier_([this] { carry(); }) {}
  ~WorldOfTcp() override {
    end();
    carrier_.join();
  }

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(lines_.size()); }

 private:
  void wake() noexcept override { ::eventfd_write(wake_.get(), 1); }

  // Who waits hears of a failure when nothing is written to its memory any more.
  void carry() {
    std::exception_ptr failure;
    try {
      while (take_asked()) {
        wait();
        std::set<Ticket> arrived;
        for (Line& line : lines_) {
          while (!line.out.empty() && send(line)) part_done(line.out, arrived);
          while (!line.in.empty() && receive(line)) part_done(line.in, arrived);
        }
        arrive(std::move(arrived));
      }
    } catch (...) {
      failure = std::current_exception();
    }
    carried(failure);
  }

  // False where all is over.
  bool take_asked() {
    std::deque<Asked> asked;
    {
      const std::scoped_lock lock(mutex_);
      if (ending_ || broken_) return false;
      asked.swap(asked_);
    }
    std::set<Ticket> arrived;
    for (const Asked& exchange : asked) {
      std::int64_t& parts = under_way_[exchange.ticket];
      for (std::size_t p = 0; p < lines_.size(); ++p) {
        if (p == static_cast<std::size_t>(rank_)) continue;
        const Piece &send = exchange.sends[p], &receive = exchange.receives[p];
        if (send.bytes > 0) lines_[p].out.push_back({{exchange.ticket, send.bytes}, static_cast<char*>(send.data)});
        if (receive.bytes > 0)
          lines_[p].in.push_back({{exchange.ticket, receive.bytes}, static_cast<char*>(receive.data)});
        parts += (send.bytes > 0) + (receive.bytes > 0);
      }
      if (parts > 0) continue;
      under_way_.erase(exchange.ticket);
      arrived.insert(exchange.ticket);
    }
    arrive(std::move(arrived));
    return true;
  }

  // A connection over which nothing is to go is not looked at: what comes early waits in the system.
  void wait() const {
    std::vector<pollfd> all = {{wake_.get(), POLLIN, 0}};
    for (const Line& line : lines_) {
      const int events = (line.out.empty() ? 0 : POLLOUT) | (line.in.empty() ? 0 : POLLIN);
      if (events != 0) all.push_back({line.socket.get(), static_cast<short>(events), 0});
    }
    ::poll(all.data(), all.size(), -1);
    eventfd_t woken = 0;
    ::eventfd_read(wake_.get(), &woken);
  }

  void part_done(std::deque<Part>& parts, std::set<Ticket>& arrived) {
    const Ticket ticket = parts.front().header.ticket;
    parts.pop_front();
    if (--under_way_[ticket] > 0) return;
    under_way_.erase(ticket);
    arrived.insert(ticket);
  }

  // Whether the first of its parts is done. False: the rest goes later.
  static bool send(Line& line) {
    Part& part = line.out.front();
    while (part.done < part.header.bytes) {
      iovec pieces[2] = {{reinterpret_cast<char*>(&part.header) + part.of_header, sizeof(Header) - part.of_header},
                         {part.data + part.done, static_cast<std::size_t>(part.header.bytes - part.done)}};
      msghdr message = {};
      message.msg_iov = pieces;
      message.msg_iovlen = 2;
      const ssize_t sent = ::sendmsg(line.socket.get(), &message, MSG_NOSIGNAL);
      if (sent < 0 && later(line)) return false;
      const auto of_header = std::min(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)), pieces[0].iov_len);
      part.of_header += of_header;
      part.done += std::max<ssize_t>(sent, 0) - static_cast<ssize_t>(of_header);
    }
    return true;
  }

  static bool receive(Line& line) {
    Part& part = line.in.front();
    while (part.of_header < sizeof(Header)) {
      const ssize_t got =
          take(line, reinterpret_cast<char*>(&line.came) + part.of_header, sizeof(Header) - part.of_header);
      if (got < 0) return false;
      part.of_header += static_cast<std::size_t>(got);
      if (part.of_header < sizeof(Header)) continue;
      if (line.came.ticket != part.header.ticket || line.came.bytes > part.header.bytes)
        throw Error(ErrorKind::unavailable, line.words + " does something else than this one: they are out of step");
      part.header = line.came;
    }
    while (part.done < part.header.bytes) {
      const ssize_t got = take(line, part.data + part.done, static_cast<std::size_t>(part.header.bytes - part.done));
      if (got < 0) return false;
      part.done += got;
    }
    return true;
  }

  // Bytes that came; negative where none are there now.
  static ssize_t take(const Line& line, char* to, std::size_t bytes) {
    const ssize_t got = ::recv(line.socket.get(), to, bytes, 0);
    if (got == 0) throw Error(ErrorKind::unavailable, line.words + " has closed its connection");
    if (got < 0) later(line);
    return got;
  }

  // True where a call that failed is to be made again; throws where it is not.
  static bool later(const Line& line) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return true;
    throw Error(ErrorKind::unavailable, fmt::format("the connection with {}: {}", line.words, std::strerror(errno)));
  }

  const int rank_;
  std::vector<Line> lines_;                   // by rank; of the carrier alone once it runs, as is
  std::map<Ticket, std::int64_t> under_way_;  // parts that are still to go or to come
  Descriptor wake_;
  std::thread carrier_;  // last: it uses all of the above
};

// Takes connections until all with higher ranks have come. What is none of them is let go.
void accept_others(int rank, const Met& met, const Descriptor& listener, std::vector<Line>& lines,
                   Clock::time_point until) {
  for (std::size_t missing = lines.size() - 1 - static_cast<std::size_t>(rank); missing > 0;) {
    std::optional<Descriptor> socket = net::accept_from(listener);
    if (!socket) {
      if (net::wait_for(listener.get(), POLLIN, until)) continue;
      const auto late =
          std::find_if(lines.begin() + rank + 1, lines.end(), [](const Line& line) { return line.socket.get() < 0; });
      throw Error(ErrorKind::unavailable,
                  fmt::format("{} does not reach port {} here", late->words, net::port_of(listener)));
    }
    Hello hello;
    if (!net::read_exactly(*socket, &hello, sizeof hello, Clock::now() + kHello)) continue;
    const Hello expected = hello_of(met.key, static_cast<int>(hello.rank));
    const bool fits = hello.rank > rank && hello.rank < std::ssize(lines);
    if (!fits || std::memcmp(&hello, &expected, sizeof hello) != 0) continue;
    lines[static_cast<std::size_t>(hello.rank)].socket = std::move(*socket);
    --missing;
  }
}

// Where the first one saw a process on its own machine, the others find it where they found the first one.
std::string address_of(const Participant& other, const Met& met) {
  const bool near_first = other.address.empty() || net::is_loopback(other.address);
  return near_first ? met.first : other.address;
}

}  // namespace

std::unique_ptr<World> connect_world(int rank, const Met& met, const Descriptor& listener, double patience_s) {
  const Clock::time_point until = net::after(patience_s);
  std::vector<Line> lines(met.all.size());
  for (std::size_t p = 0; p < lines.size(); ++p)
    lines[p].words = process_words(static_cast<int>(p), static_cast<int>(lines.size()), met.all[p].host);
  const Hello hello = hello_of(met.key, rank);
  for (std::size_t p = 0; p < static_cast<std::size_t>(rank); ++p) {
    const Participant& other = met.all[p];
    const std::string address = address_of(other, met);
    std::optional<Descriptor> socket = net::connect_to(address, other.port, until);
    if (!socket || !net::write_exactly(*socket, &hello, sizeof hello, until))
      throw Error(ErrorKind::unavailable, fmt::format("{} cannot be reached at {}, port {}: {}", lines[p].words,
                                                      address, other.port, std::strerror(errno)));
    lines[p].socket = std::move(*socket);
  }
  accept_others(rank, met, listener, lines, until);
  return std::make_unique<WorldOfTcp>(rank, std::move(lines));
}

}  // namespace longstride
