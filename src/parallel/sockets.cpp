// This speaks with the system's sockets.
#include "parallel/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace longstride::net {

namespace {

constexpr int kWaiting = 4096;                   // connections that nobody has taken out yet
constexpr std::size_t kLongest = 1 << 22;        // of a message: more than 10,000 processes' names
constexpr std::string_view kMapped = "::ffff:";  // IPv4 in IPv6

struct Place {
  sockaddr_storage address{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
};

std::string numeric(const sockaddr* address, socklen_t length) {
  char host[NI_MAXHOST];
  if (::getnameinfo(address, length, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0) return "";
  const std::string text = host;
  return text.starts_with(kMapped) ? text.substr(kMapped.size()) : text;
}

std::vector<Place> places(const std::string& name, int port, int flags) {
  addrinfo wanted{}, *list = nullptr;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = flags;
  const std::string service = std::to_string(port);
  std::vector<Place> found;
  if (::getaddrinfo(name.c_str(), service.c_str(), &wanted, &list) != 0) return found;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    Place place;
    std::memcpy(&place.address, one->ai_addr, one->ai_addrlen);
    place.length = one->ai_addrlen;
    found.push_back(place);
  }
  return found;
}

void set(const Descriptor& socket, int level, int option, int value) {
  ::setsockopt(socket.get(), level, option, &value, sizeof value);
}

Descriptor new_socket(int family) {
  return Descriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

std::optional<Descriptor> listen_at(const Place& place) {
  Descriptor socket = new_socket(place.address.ss_family);
  if (socket.get() < 0) return std::nullopt;
  set(socket, SOL_SOCKET, SO_REUSEADDR, 1);  // of a run that has just ended
  if (place.address.ss_family == AF_INET6) set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(socket.get(), place.get(), place.length) != 0 || ::listen(socket.get(), kWaiting) != 0)
    return std::nullopt;
  return socket;
}

bool passing(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

std::vector<std::string> resolve(const std::string& name) {
  std::vector<std::string> addresses;
  for (const Place& place : places(name, 0, 0)) addresses.push_back(numeric(place.get(), place.length));
  return addresses;
}

bool is_loopback(const std::string& host) { return host.starts_with("127.") || host == "::1" || host == "localhost"; }

std::vector<std::string> own_addresses() {
  ifaddrs* list = nullptr;
  std::vector<std::string> addresses;
  if (::getifaddrs(&list) != 0) return addresses;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const std::string text = numeric(one->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (text.find('%') == std::string::npos) addresses.push_back(text);  // not those of one link alone
  }
  std::stable_partition(addresses.begin(), addresses.end(), [](const auto& text) { return !is_loopback(text); });
  return addresses;
}

std::optional<Descriptor> listen_at(const std::string& address, int port) {
  if (!address.empty()) {
    const std::vector<Place> found = places(address, port, AI_NUMERICHOST | AI_PASSIVE);
    return found.empty() ? std::nullopt : listen_at(found.front());
  }
  Place six, four;
  auto& of_six = reinterpret_cast<sockaddr_in6&>(six.address);
  of_six.sin6_family = AF_INET6;
  of_six.sin6_port = htons(static_cast<std::uint16_t>(port));
  six.length = sizeof(sockaddr_in6);
  if (std::optional<Descriptor> both = listen_at(six); both || errno == EADDRINUSE || errno == EACCES) return both;
  auto& of_four = reinterpret_cast<sockaddr_in&>(four.address);  // a machine without IPv6
  of_four.sin_family = AF_INET;
  of_four.sin_port = htons(static_cast<std::uint16_t>(port));
  four.length = sizeof(sockaddr_in);
  return listen_at(four);
}

int port_of(const Descriptor& listener) {
  Place place;
  place.length = sizeof place.address;
  if (::getsockname(listener.get(), place.get(), &place.length) != 0) return 0;
  return ntohs(place.address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(place.address).sin6_port
                                                   : reinterpret_cast<sockaddr_in&>(place.address).sin_port);
}

std::optional<Descriptor> accept_from(const Descriptor& listener) {
  Descriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.get() < 0) return std::nullopt;
  prepare(socket);
  return socket;
}

std::optional<Descriptor> connect_to(const std::string& address, int port, Clock::time_point until) {
  const std::vector<Place> found = places(address, port, AI_NUMERICHOST);
  if (found.empty()) {
    errno = EADDRNOTAVAIL;
    return std::nullopt;
  }
  const Place& place = found.front();
  Descriptor socket = new_socket(place.address.ss_family);
  if (socket.get() < 0) return std::nullopt;
  if (::connect(socket.get(), place.get(), place.length) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return std::nullopt;
    if (!wait_for(socket.get(), POLLOUT, until)) {
      errno = ETIMEDOUT;
      return std::nullopt;
    }
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      errno = error;
      return std::nullopt;
    }
  }
  prepare(socket);
  return socket;
}

std::string peer_of(const Descriptor& connection) {
  Place place;
  place.length = sizeof place.address;
  return ::getpeername(connection.get(), place.get(), &place.length) == 0 ? numeric(place.get(), place.length) : "";
}

void prepare(const Descriptor& connection) { set(connection, IPPROTO_TCP, TCP_NODELAY, 1); }

int milliseconds_until(Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

bool wait_for(int descriptor, short events, Clock::time_point until) {
  for (;;) {
    pollfd one = {descriptor, events, 0};
    const int ready = ::poll(&one, 1, milliseconds_until(until));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool read_exactly(const Descriptor& socket, void* data, std::size_t bytes, Clock::time_point until) {
  for (std::size_t at = 0; at < bytes;) {
    const ssize_t got = ::recv(socket.get(), static_cast<char*>(data) + at, bytes - at, 0);
    if (got > 0)
      at += static_cast<std::size_t>(got);
    else if (got == 0 || !passing(errno) || !wait_for(socket.get(), POLLIN, until))
      return false;
  }
  return true;
}

bool write_exactly(const Descriptor& socket, const void* data, std::size_t bytes, Clock::time_point until) {
  for (std::size_t at = 0; at < bytes;) {
    const ssize_t sent = ::send(socket.get(), static_cast<const char*>(data) + at, bytes - at, MSG_NOSIGNAL);
    if (sent > 0)
      at += static_cast<std::size_t>(sent);
    else if (!passing(errno) || !wait_for(socket.get(), POLLOUT, until))
      return false;
  }
  return true;
}

Channel::Channel(Descriptor socket) : socket_(std::move(socket)) {}

void Channel::put(char kind, std::string_view text) {
  const std::size_t bytes = 1 + text.size();
  for (int byte = 0; byte < 4; ++byte) unsent_ += static_cast<char>(bytes >> (8 * byte) & 0xff);
  unsent_ += kind;
  unsent_ += text;
  flush();
}

void Channel::flush() {
  if (!is_there() || state_ != State::open) unsent_.clear();
  while (!unsent_.empty()) {
    const ssize_t sent = ::send(descriptor(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {  // where the other has gone reading says so, after what it still had to say
      if (!passing(errno)) unsent_.clear();
      return;
    }
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
}

bool Channel::flush(Clock::time_point until) {
  for (flush(); has_unsent(); flush())
    if (!wait_for(descriptor(), POLLOUT, until)) return false;
  return true;
}

Channel::State Channel::read() {
  char bytes[16384];
  while (state_ == State::open) {
    const ssize_t got = ::recv(descriptor(), bytes, sizeof bytes, 0);
    if (got > 0) {
      unread_.append(bytes, static_cast<std::size_t>(got));
      if (unread_.size() > 2 * kLongest) break;  // the rest comes another time
    } else if (got == 0 || !passing(errno)) {
      state_ = State::closed;
    } else if (errno != EINTR) {
      break;
    }
  }
  return state_;
}

std::optional<Message> Channel::next() {
  if (unread_.size() < 4) return std::nullopt;
  std::size_t bytes = 0;
  for (std::size_t byte = 0; byte < 4; ++byte)
    bytes |= static_cast<std::size_t>(static_cast<unsigned char>(unread_[byte])) << (8 * byte);
  if (bytes == 0 || bytes > kLongest) {
    state_ = State::foreign;
    return std::nullopt;
  }
  if (unread_.size() < 4 + bytes) return std::nullopt;
  Message message{unread_[4], unread_.substr(5, bytes - 1)};
  unread_.erase(0, 4 + bytes);
  return message;
}

std::optional<Message> Channel::wait(Clock::time_point until) {
  for (;;) {
    if (std::optional<Message> message = next()) return message;
    if (state_ != State::open || !wait_for(descriptor(), POLLIN, until)) return std::nullopt;
    read();
  }
}

}  // namespace longstride::net
