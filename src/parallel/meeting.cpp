// This brings processes together at the first one.
#include "parallel/meeting.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

using net::after;
using net::Channel;
using net::Clock;
using net::Message;

namespace {

constexpr std::chrono::milliseconds kLook{100};    // between two looks at what was asked to stop
constexpr std::chrono::seconds kGreeting{5};       // for what has connected to say who it is
constexpr std::chrono::seconds kOneConnection{3};  // to one address, before the next is tried
constexpr double kLateComers = 0.05;               // of the patience: who still come are told what was wrong
constexpr const char* kProtocol = "longstride 1";
constexpr std::size_t kGreetingLines = 9;

// Kinds of messages, in the order of a meeting.
constexpr char kGreets = 'g', kHeard = 'h', kRefused = 'x', kRoster = 'r';

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

int number(const std::string& text) { return std::atoi(text.c_str()); }

double seconds(const std::string& text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

struct Greeting {
  int rank = 0, size = 0;
  std::string key, build;
  Participant who;
};

std::string text_of(const Participant& who) {
  return fmt::format("{}\n{}\n{}\n{}\n", who.host, who.machine, who.process, who.port);
}

std::string text_of(const Meeting& meeting) {
  Participant me = this_process();
  me.port = meeting.data_port;
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", kProtocol, meeting.rank, meeting.size, meeting.key, meeting.build,
                     text_of(me));
}

std::optional<Greeting> greeting_of(const Message& message) {
  const std::vector<std::string> line = lines_of(message.text);
  if (message.kind != kGreets || line.size() != kGreetingLines || line[0] != kProtocol) return std::nullopt;
  return Greeting{
      number(line[1]), number(line[2]), line[3], line[4], {line[5], line[6], number(line[7]), "", number(line[8])}};
}

void throw_if_stopped(const Meeting& meeting) {
  if (meeting.stop != nullptr && meeting.stop->load())
    throw Error(ErrorKind::stopped, "stopped while the processes came together");
}

// What the first one does. Once something is wrong it goes on for a while, to tell those who come late.
class Host {
 public:
  Host(const Meeting& meeting, const Descriptor& listener)
      : meeting_(meeting), listener_(listener), until_(after(meeting.patience_s)) {
    met_.all.resize(size());
    met_.channels.resize(size());
    met_.all[0] = this_process();
    met_.all[0].port = meeting.data_port;
    met_.key = meeting.key.empty() ? random_key() : meeting.key;
    met_.silence_s = meeting.silence_s;
  }

  Met run() {
    while (missing() > 0 && !(problem_ && Clock::now() > until_)) {
      throw_if_stopped(meeting_);
      wait();
      take_new_ones();
      hear_new_ones();
      if (!problem_) look_at_known_ones();
      if (!problem_ && Clock::now() > until_) name_missing();
    }
    if (problem_) throw *problem_;
    std::string roster = fmt::format("{}\n{}\n", met_.key, met_.silence_s);
    for (const Participant& who : met_.all) roster += text_of(who) + who.address + "\n";
    for (std::size_t p = 1; p < size(); ++p) {
      met_.channels[p].put(kRoster, roster);
      met_.channels[p].flush(Clock::now() + kGreeting);
    }
    return std::move(met_);
  }

 private:
  struct Stranger {
    Channel channel;
    std::string address;
    Clock::time_point until;
  };

  std::size_t size() const { return static_cast<std::size_t>(meeting_.size); }
  std::ptrdiff_t missing() const {
    const auto there =
        std::count_if(met_.channels.begin(), met_.channels.end(), [](const auto& c) { return c.is_there(); });
    return std::ssize(met_.channels) - 1 - there - told_;
  }

  void wait() const {
    std::vector<pollfd> all = {{listener_.get(), POLLIN, 0}};
    for (const Stranger& one : strangers_) all.push_back({one.channel.descriptor(), POLLIN, 0});
    for (const Channel& channel : met_.channels)
      if (channel.is_there() && channel.state() == Channel::State::open)
        all.push_back({channel.descriptor(), POLLIN, 0});
    ::poll(all.data(), all.size(), static_cast<int>(kLook.count()));
  }

  void take_new_ones() {
    while (std::optional<Descriptor> socket = net::accept_from(listener_)) {
      std::string address = net::peer_of(*socket);
      strangers_.push_back({Channel(std::move(*socket)), std::move(address), Clock::now() + kGreeting});
    }
  }

  // What is no process of longstride (a browser, who looks for open ports) is let go without a word.
  void hear_new_ones() {
    std::vector<Stranger> still;
    for (Stranger& one : strangers_) {
      const bool open = one.channel.read() == Channel::State::open;
      if (const std::optional<Message> message = one.channel.next()) {
        if (const std::optional<Greeting> greeting = greeting_of(*message)) greet(*greeting, one);
      } else if (open && one.channel.state() == Channel::State::open && Clock::now() < one.until) {
        still.push_back(std::move(one));
      }
    }
    strangers_ = std::move(still);
  }

  void greet(const Greeting& greeting, Stranger& one) {
    one.channel.put(kHeard, fmt::format("{}", std::chrono::duration<double>(until_ - Clock::now()).count()));
    if (!problem_) {
      if (std::optional<Error> wrong = problem_of(greeting)) fail(std::move(*wrong));
    }
    if (problem_) return tell(one.channel);
    const auto rank = static_cast<std::size_t>(greeting.rank);
    met_.all[rank] = greeting.who;
    met_.all[rank].address = one.address;
    met_.channels[rank] = std::move(one.channel);
  }

  std::optional<Error> problem_of(const Greeting& other) const {
    const std::string them = process_words(other.rank, other.size, other.who.host);
    if (other.size != meeting_.size)
      return Error(ErrorKind::invalid_argument,
                   fmt::format("{} comes to {}, where there are {} processes; all need the same number", them,
                               meeting_.where, meeting_.size));
    if (other.rank < 0 || other.rank >= meeting_.size)
      return Error(ErrorKind::invalid_argument, fmt::format("{} has a rank that is none of them", them));
    const Participant& known = met_.all[static_cast<std::size_t>(other.rank)];
    if (other.rank == 0 || met_.channels[static_cast<std::size_t>(other.rank)].is_there())
      return Error(ErrorKind::invalid_argument,
                   fmt::format("rank {} was given twice: to process {} on {} and to process {} on {}", other.rank,
                               known.process, known.host, other.who.process, other.who.host));
    if (other.build != meeting_.build)
      return Error(ErrorKind::unavailable,
                   fmt::format("{} is {}, and process 0 on {} is {}; the bits of a run need the same in all processes",
                               them, other.build, met_.all[0].host, meeting_.build));
    if (!meeting_.key.empty() && other.key != meeting_.key)
      return Error(ErrorKind::unavailable, fmt::format("{} belongs to another run", them));
    return std::nullopt;
  }

  void look_at_known_ones() {
    for (std::size_t p = 1; p < size() && !problem_; ++p) {
      Channel& channel = met_.channels[p];
      if (channel.is_there() && channel.read() != Channel::State::open)
        fail(Error(ErrorKind::unavailable, process_words(static_cast<int>(p), meeting_.size, met_.all[p].host) +
                                               " ended before all had come together"));
    }
  }

  void name_missing() {
    std::string ranks;
    for (std::size_t p = 1; p < size(); ++p)
      if (!met_.channels[p].is_there()) ranks += (ranks.empty() ? "" : ", ") + std::to_string(p);
    std::string words = fmt::format("of {} processes these did not come to {} within {:.0f} s: {}", meeting_.size,
                                    meeting_.where, meeting_.patience_s, ranks);
    if (!is_here()) words += fmt::format("; process 0 is on {}, which does not have that address", met_.all[0].host);
    fail(Error(ErrorKind::unavailable, words));
  }

  // Whether the place is an address of this machine, as far as it knows: what passes connections on has its own.
  bool is_here() const {
    const std::vector<std::string> own = net::own_addresses();
    return std::any_of(meeting_.addresses.begin(), meeting_.addresses.end(), [&](const std::string& address) {
      return net::is_loopback(address) || std::find(own.begin(), own.end(), address) != own.end();
    });
  }

  void fail(Error problem) {
    problem_ = std::move(problem);
    until_ = after(kLateComers * meeting_.patience_s);
    for (Channel& channel : met_.channels) {
      if (!channel.is_there()) continue;
      tell(channel);
      channel.close();
    }
  }

  void tell(Channel& channel) {
    channel.put(kRefused, fmt::format("{}\n{}", static_cast<int>(problem_->kind()), problem_->what()));
    channel.flush(Clock::now() + kGreeting);
    ++told_;
  }

  const Meeting& meeting_;
  const Descriptor& listener_;
  Clock::time_point until_;
  Met met_;
  std::vector<Stranger> strangers_;
  std::optional<Error> problem_;
  std::ptrdiff_t told_ = 0;  // what is wrong
};

// A connection to the first one; none where nobody is there yet, for what errno says.
std::optional<Channel> knock(const Meeting& meeting, std::string& found) {
  int reason = ECONNREFUSED;
  for (const std::string& address : meeting.addresses) {
    if (std::optional<Descriptor> socket = net::connect_to(address, meeting.port, Clock::now() + kOneConnection)) {
      found = address;
      return Channel(std::move(*socket));
    }
    reason = errno;
  }
  errno = reason;
  return std::nullopt;
}

[[noreturn]] void throw_refusal(const std::string& text) {
  const std::size_t end = text.find('\n');
  throw Error(static_cast<ErrorKind>(number(text.substr(0, end))), text.substr(end + 1));
}

Met met_of(const Message& message, const Meeting& meeting, Channel channel, const std::string& found) {
  const std::vector<std::string> line = lines_of(message.text);
  const auto size = static_cast<std::size_t>(meeting.size);
  constexpr std::size_t kBefore = 2, kLines = 5;  // of a participant
  if (line.size() != kBefore + kLines * size)
    throw Error(ErrorKind::unavailable, "process 0 at " + meeting.where + " says nothing that is understood");
  Met met;
  met.key = line[0];
  met.silence_s = seconds(line[1]);
  met.first = found;
  for (std::size_t p = 0; p < size; ++p) {
    const std::string* of = &line[kBefore + kLines * p];
    met.all.push_back({of[0], of[1], number(of[2]), of[4], number(of[3])});
  }
  met.channels.resize(size);
  met.channels[0] = std::move(channel);
  return met;
}

std::string read_link(const char* path) {
  std::error_code none;
  return std::filesystem::read_symlink(path, none).string();
}

}  // namespace

Met meet_as_first(const Meeting& meeting, const Descriptor& listener) { return Host(meeting, listener).run(); }

Met meet_at_first(const Meeting& meeting) {
  const Clock::time_point until = after(meeting.patience_s);
  std::string found;
  std::optional<Channel> channel;
  while (!(channel = knock(meeting, found))) {
    const int reason = errno;
    throw_if_stopped(meeting);
    if (Clock::now() > until)
      throw Error(ErrorKind::unavailable,
                  fmt::format("process 0 of {} is not at {} ({}); it was waited for for {:.0f} s", meeting.size,
                              meeting.where, std::strerror(reason), meeting.patience_s));
    ::usleep(static_cast<useconds_t>(std::chrono::microseconds(kLook).count()));
  }
  channel->put(kGreets, text_of(meeting));
  bool heard = false;
  // The first one waits for all others, for as long as it says, and then tells which have not come.
  Clock::time_point answer = Clock::now() + kGreeting + kGreeting;
  while (Clock::now() < answer) {
    throw_if_stopped(meeting);
    const std::optional<Message> message = channel->wait(Clock::now() + kLook);
    if (message && message->kind == kHeard) {
      heard = true;
      answer = after(seconds(message->text)) + kGreeting + kGreeting;
    } else if (message && heard && message->kind == kRefused) {
      throw_refusal(message->text);
    } else if (message && heard && message->kind == kRoster) {
      return met_of(*message, meeting, std::move(*channel), found);
    } else if (message || channel->state() != Channel::State::open) {
      break;
    }
  }
  if (!heard)
    throw Error(ErrorKind::unavailable,
                fmt::format("what answers at {} is no process 0 of longstride; another program may have the port",
                            meeting.where));
  const bool ended = channel->state() != Channel::State::open;
  throw Error(ErrorKind::unavailable, fmt::format("process 0 of {} at {} {}", meeting.size, meeting.where,
                                                  ended ? "has ended" : "says no more"));
}

std::string random_key() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}", source(), source());
}

std::string process_words(int rank, int size, const std::string& host) {
  return fmt::format("process {} of {} on {}", rank, size, host);
}

Participant this_process() {
  std::array<char, HOST_NAME_MAX + 1> host{};
  ::gethostname(host.data(), host.size() - 1);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  // Containers of one machine have cores, and numbers of processes, of their own.
  return {host.data(), boot + read_link("/proc/self/ns/pid") + read_link("/proc/self/ns/net"), ::getpid(), "", 0};
}

}  // namespace longstride
