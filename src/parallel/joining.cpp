// This joins worlds: how the processes find one another, who carries their bytes, and the watch over them.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"
#include "longstride/processes.h"
#include "parallel/mpi.h"
#include "parallel/tcp.h"
#include "parallel/watch.h"

namespace longstride {

namespace {

constexpr double kJudgement_s = 10;  // in which a watch says why a connection broke
constexpr double kAnswer_s = 1;      // of whoever has a port of this machine

// Another world's exchanges, whose processes watch one another.
class WatchedWorld : public World {
 public:
  WatchedWorld(std::unique_ptr<Watch> watch, std::unique_ptr<World> carrier)
      : watch_(std::move(watch)), carrier_(std::move(carrier)) {
    watch_->on_end([this](const std::string& why) { carrier_->break_off(why); });
  }
  ~WatchedWorld() override {
    watch_->leave();  // a launcher that ends all may give them less time than MPI takes to part
    watch_->on_end({});
    carrier_.reset();
  }

  int rank() const override { return carrier_->rank(); }
  int size() const override { return carrier_->size(); }
  Ticket begin_exchange(std::span<const Piece> sends, std::span<const Piece> receives) override {
    return carrier_->begin_exchange(sends, receives);
  }

  void finish(Ticket exchange) override {
    as_judged([&] { carrier_->finish(exchange); });
  }
  void require_all() override {
    as_judged([&] { carrier_->require_all(); });
  }

  void end_all(const std::string& sentence, int status) noexcept override { watch_->end_all(sentence, status); }

  std::vector<Member> members() const override {
    std::vector<Member> members;
    std::vector<std::string> machines;
    for (const Participant& one : watch_->all()) {
      std::size_t at = 0;
      while (at < machines.size() && machines[at] != one.machine) ++at;
      if (at == machines.size()) machines.push_back(one.machine);
      members.push_back({one.host, static_cast<int>(at)});
    }
    return members;
  }

 private:
  // Where a connection breaks the watch knows better why: who ends because another one did is not who ended first.
  template <class Call>
  void as_judged(const Call& call) {
    try {
      call();
    } catch (const Error&) {
      if (!watch_->end_comes(kJudgement_s)) throw;
      call();  // which throws what the watch said
    }
  }

  std::unique_ptr<Watch> watch_;  // goes after the carrier: until then another one's death is noticed
  std::unique_ptr<World> carrier_;
};

Meeting meeting_of(int rank, int size, const Joining& joining) {
  Meeting meeting;
  meeting.rank = rank;
  meeting.size = size;
  meeting.build = joining.build;
  meeting.stop = joining.stop;
  meeting.patience_s = joining.patience_s;
  meeting.silence_s = joining.silence_s;
  return meeting;
}

// Of what listen_at gave for a port of this process.
Descriptor listening(std::optional<Descriptor> listener, const std::string& where) {
  if (listener) return std::move(*listener);
  throw Error(ErrorKind::unavailable, fmt::format("cannot take connections at {}: {}", where, std::strerror(errno)));
}

// Where the port is taken it may be by another one that takes itself for the first: then it knows that rank 0 was given
// twice, and says so to all. Nobody answers where another program has the port of another address.
Met meet_at_place(const Meeting& meeting, const std::string& bound_to) {
  if (meeting.rank != 0) return meet_at_first(meeting);
  std::optional<Descriptor> listener = net::listen_at(bound_to, meeting.port);
  const bool taken = !listener && errno == EADDRINUSE;
  const auto answers = [&](const std::string& address) {
    return net::connect_to(address, meeting.port, net::after(kAnswer_s)).has_value();
  };
  if (!taken || std::none_of(meeting.addresses.begin(), meeting.addresses.end(), answers)) {
    if (taken) errno = EADDRINUSE;
    return meet_as_first(meeting, listening(std::move(listener), meeting.where));
  }
  Meeting asking = meeting;
  asking.patience_s = 0;
  return meet_at_first(asking);
}

}  // namespace

std::shared_ptr<World> join_world_by_tcp(const MeetingPlace& place, const Joining& joining) {
  Meeting meeting = meeting_of(place.rank, place.size, joining);
  meeting.where = fmt::format("{}:{}", place.host, place.port);
  meeting.port = place.port;
  meeting.addresses = net::resolve(place.host);
  if (meeting.addresses.empty())
    throw_invalid(fmt::format("process {} of {}: nobody knows an address of \"{}\", where process 0 is", place.rank,
                              place.size, place.host));
  // Nobody from outside is to come in where loopback is what was said. A machine's own name may lead to loopback there,
  // as Debian writes /etc/hosts, and to another address everywhere else.
  const bool within = net::is_loopback(place.host);
  const std::string bound_to = within ? meeting.addresses.front() : "";
  const Descriptor for_data = listening(net::listen_at(bound_to, 0), "a free port");
  meeting.data_port = net::port_of(for_data);
  Met met = meet_at_place(meeting, bound_to);
  Met known;
  known.all = met.all;
  known.key = met.key;
  known.first = met.first;
  auto watch = std::make_unique<Watch>(place.rank, std::move(met), joining.ends);
  try {
    auto carrier = connect_world(place.rank, known, for_data, joining.patience_s);
    return std::make_shared<WatchedWorld>(std::move(watch), std::move(carrier));
  } catch (const Error& error) {
    watch->end_all(error.what(), 1);
    throw;
  }
}

std::shared_ptr<World> join_world_by_mpi(const Joining& joining) {
  std::unique_ptr<World> carrier = world_of_mpi();
  Meeting meeting = meeting_of(carrier->rank(), carrier->size(), joining);
  const bool first = meeting.rank == 0;
  std::optional<Descriptor> listener;
  std::string told;  // by MPI: key, port and addresses of the first one
  if (first) {
    listener = listening(net::listen_at("", 0), "a free port");
    meeting.key = random_key();
    told = fmt::format("{} {}", meeting.key, net::port_of(*listener));
    for (const std::string& address : net::own_addresses()) told += " " + address;
  }
  const std::string heard = gather(*carrier, told).front();
  std::istringstream words(heard);
  words >> meeting.key >> meeting.port;
  for (std::string address; words >> address;) meeting.addresses.push_back(address);
  meeting.where = fmt::format("{}:{}", meeting.addresses.empty() ? "" : meeting.addresses.front(), meeting.port);
  Met met = first ? meet_as_first(meeting, *listener) : meet_at_first(meeting);
  auto watch = std::make_unique<Watch>(meeting.rank, std::move(met), joining.ends);
  return std::make_shared<WatchedWorld>(std::move(watch), std::move(carrier));
}

}  // namespace longstride
