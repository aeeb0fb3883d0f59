// TCP between processes: listening, connecting, and messages over a connection. Nothing here waits without an end.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/system.h"

namespace longstride::net {

using Clock = std::chrono::steady_clock;

inline Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// Addresses are numeric: "10.0.0.1", "fe80::1".
std::vector<std::string> resolve(const std::string& name);  // empty: nobody knows the name
std::vector<std::string> own_addresses();                   // of this machine, loopback last
bool is_loopback(const std::string& host);                  // an address, or the name localhost

// Takes connections to one address of this machine, or to all where it is empty. port 0: any that is free. Null with
// errno where the port is taken or the system refuses. Where what connects is not taken out, it waits.
std::optional<Descriptor> listen_at(const std::string& address, int port);
int port_of(const Descriptor& listener);
std::optional<Descriptor> accept_from(const Descriptor& listener);  // null: nobody is there now
// Null with errno where nothing answers until then.
std::optional<Descriptor> connect_to(const std::string& address, int port, Clock::time_point until);
std::string peer_of(const Descriptor& connection);  // its address

// Waits for what `events` names (poll's), until then at the latest.
bool wait_for(int descriptor, short events, Clock::time_point until);
int milliseconds_until(Clock::time_point until);  // for poll: at least 0

struct Message {
  char kind = 0;  // what it is
  std::string text;
};

// A connection that carries messages both ways. Reading and writing never wait, unless they say so.
//
//   | bytes of kind and text, 4, little end first | kind, 1 | text |
class Channel {
 public:
  enum class State { open, closed, foreign };  // foreign: what comes are no messages

  Channel() : socket_(-1) {}
  explicit Channel(Descriptor socket);

  bool is_there() const { return socket_.get() >= 0; }
  int descriptor() const { return socket_.get(); }
  void close() { socket_ = Descriptor(-1); }

  void put(char kind, std::string_view text = {});  // sends as much as goes now, and keeps the rest
  void flush();
  bool flush(Clock::time_point until);  // waits; whether all was sent
  bool has_unsent() const { return !unsent_.empty(); }

  State read();                                          // takes what has come
  std::optional<Message> next();                         // of what has come
  std::optional<Message> wait(Clock::time_point until);  // for the next one; none: state() says why

  State state() const { return state_; }

 private:
  Descriptor socket_;
  State state_ = State::open;
  std::string unsent_, unread_;
};

// All of so many bytes, or false: it is too late, or the other one has gone.
bool read_exactly(const Descriptor& socket, void* data, std::size_t bytes, Clock::time_point until);
bool write_exactly(const Descriptor& socket, const void* data, std::size_t bytes, Clock::time_point until);

// Sets what connections of processes have: no delay of small messages, no waiting in reads and writes.
void prepare(const Descriptor& connection);

}  // namespace longstride::net
