// This watches the other processes and tells them how it is with this one.
#include "parallel/watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "io/system.h"
#include "longstride/error.h"

namespace longstride {

using net::Channel;
using net::Message;

namespace {

constexpr int kBeatsInSilence = 15, kLooksInBeat = 4;
constexpr std::chrono::seconds kAnswer{3};   // of the first one, to who wants all to end
constexpr std::chrono::seconds kParting{2};  // for what was said last to arrive

// Kinds of messages.
constexpr char kBeats = 'b', kWantsEnd = 'e', kEnd = 'v', kLeaves = 'l', kAllLeave = 'd';

Descriptor new_wake() {
  Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake.get() < 0) throw Error(ErrorKind::exhausted, "the system gives no descriptor to watch other processes by");
  return wake;
}

// By SIGSTOP and the like: the state that stands behind the process's name in parentheses (proc(5)).
bool is_halted(std::int64_t process) {
  const std::string words = kernel_text(fmt::format("/proc/{}/stat", process));
  const std::size_t name_end = words.rfind(')');
  return name_end != std::string::npos && words.compare(name_end, 3, ") T") == 0;
}

}  // namespace

std::string Watch::End::text() const {
  return fmt::format("{} {} {}\n{}", static_cast<int>(why), rank, status, sentence);
}

Watch::Watch(int rank, Met met, const Ends& ends)
    : rank_(rank),
      all_(std::move(met.all)),
      ends_(ends),
      silence_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(met.silence_s))),
      beat_(silence_ / kBeatsInSilence),
      channels_(std::move(met.channels)),
      heard_(all_.size(), Clock::now()),
      left_(all_.size(), false),
      looked_(Clock::now()),
      wake_(new_wake()) {
  hold_neighbours();
  thread_ = std::thread([this] { watch(); });
}

Watch::~Watch() {
  leave();
  thread_.join();
}

void Watch::leave() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    leaving_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
}

void Watch::on_end(std::function<void(const std::string&)> told) {
  const std::scoped_lock lock(mutex_);
  told_ = std::move(told);
  if (told_ && ended_) told_(ended_->sentence);
}

void Watch::end_all(const std::string& sentence, int status) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = End{End::Why::said, rank_, status, sentence.empty() ? "" : words(rank_) + ": " + sentence};
  }
  ::eventfd_write(wake_.get(), 1);
  end_comes(std::chrono::duration<double>(kAnswer + kParting).count());
}

bool Watch::end_comes(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return ended_.has_value(); });
}

std::string Watch::words(int rank) const {
  return process_words(rank, static_cast<int>(all_.size()), all_[static_cast<std::size_t>(rank)].host);
}

void Watch::watch() {
  while (look()) {
  }
  part();
}

bool Watch::look() {
  wait();
  const Clock::time_point now = Clock::now();
  if (now - std::exchange(looked_, now) > silence_) {
    const auto seconds = std::chrono::duration<double>(silence_).count();
    end({End::Why::died, rank_, 1, fmt::format("{} was halted for more than {:.0f} s", words(rank_), seconds)});
    return false;
  }
  std::optional<End> over = asked();
  for (int other = 0; other < static_cast<int>(channels_.size()) && !over; ++other)
    if (channels_[static_cast<std::size_t>(other)].is_there()) over = listen(other);
  for (int other = 0; other < static_cast<int>(channels_.size()) && !over; ++other)
    if (channels_[static_cast<std::size_t>(other)].is_there()) over = lost(other, now);
  if (over) {
    end(*over);
    return false;
  }
  beat(now);
  return anyone_stays();
}

void Watch::wait() {
  std::vector<pollfd> all = {{wake_.get(), POLLIN, 0}};
  for (std::size_t other = 0; other < channels_.size(); ++other) {
    const Channel& channel = channels_[other];
    if (!channel.is_there() || channel.state() != Channel::State::open) continue;
    all.push_back({channel.descriptor(), static_cast<short>(channel.has_unsent() ? POLLIN | POLLOUT : POLLIN), 0});
  }
  ::poll(all.data(), all.size(), net::milliseconds_until(Clock::now() + beat_ / kLooksInBeat));
  eventfd_t woken = 0;
  ::eventfd_read(wake_.get(), &woken);
}

std::optional<Watch::End> Watch::listen(int from) {
  Channel& channel = channels_[static_cast<std::size_t>(from)];
  channel.read();
  while (const std::optional<Message> message = channel.next()) {
    heard_[static_cast<std::size_t>(from)] = Clock::now();
    if (message->kind == kLeaves || message->kind == kAllLeave) left_[static_cast<std::size_t>(from)] = true;
    if (message->kind != kWantsEnd && message->kind != kEnd) continue;
    int why = 0, rank = 0, status = 1, length = 0;
    if (std::sscanf(message->text.c_str(), "%d %d %d\n%n", &why, &rank, &status, &length) < 3) continue;
    if (rank < 0 || rank >= static_cast<int>(all_.size())) continue;
    return End{static_cast<End::Why>(why), rank, status, message->text.substr(static_cast<std::size_t>(length))};
  }
  return std::nullopt;
}

std::optional<Watch::End> Watch::lost(int other, Clock::time_point now) const {
  const auto at = static_cast<std::size_t>(other);
  if (left_[at]) return std::nullopt;
  if (channels_[at].state() != Channel::State::open)
    return End{End::Why::died, other, 1, words(other) + " has died: its connection is closed"};
  if (now - heard_[at] <= silence_) return std::nullopt;
  return End{End::Why::silent, other, 1,
             fmt::format("{} has been silent for {:.0f} s: it is halted, or the network to it is cut", words(other),
                         std::chrono::duration<double>(silence_).count())};
}

// What this process itself wants: the first one decides, and hears of one wish before another.
std::optional<Watch::End> Watch::asked() {
  std::optional<End> wanted;
  {
    const std::scoped_lock lock(mutex_);
    wanted = wanted_;
  }
  if (!wanted || is_first()) return wanted;
  if (told_first_) return Clock::now() - *told_first_ > kAnswer ? wanted : std::nullopt;
  told_first_ = Clock::now();
  channels_[0].put(kWantsEnd, wanted->text());
  return std::nullopt;
}

// Tells the others where this process leaves, and where all do.
bool Watch::anyone_stays() {
  {
    const std::scoped_lock lock(mutex_);
    if (!leaving_) return true;
  }
  if (!is_first()) {
    if (!std::exchange(said_leaving_, true)) channels_[0].put(kLeaves);
    return !left_[0];
  }
  for (std::size_t other = 1; other < channels_.size(); ++other)
    if (!left_[other]) return true;
  for (Channel& channel : channels_)
    if (channel.is_there()) channel.put(kAllLeave);
  return false;
}

void Watch::beat(Clock::time_point now) {
  const bool due = now - beaten_ >= beat_;
  for (Channel& channel : channels_) {
    if (!channel.is_there()) continue;
    if (due && !channel.has_unsent()) channel.put(kBeats);
    channel.flush();
  }
  if (due) beaten_ = now;
}

void Watch::end(const End& end) {
  // Who speaks ends what is halted, afterwards: to the others its silence would look like a death.
  const bool spokesman = speaks(end);
  if (spokesman && !end.sentence.empty() && ends_.say) ends_.say(end.sentence);
  if (spokesman && end.why == End::Why::silent) stop_halted(end.rank);
  if (is_first()) {
    for (Channel& channel : channels_)
      if (channel.is_there()) channel.put(kEnd, end.text());
    part();
  }
  {
    const std::scoped_lock lock(mutex_);
    ended_ = end;
    if (told_) told_(end.sentence);
  }
  changed_.notify_all();
  if (ends_.leave) ends_.leave(end.status);
}

// What a socket holds unread when it is closed throws away what was sent and has not arrived. So the first one waits
// for the others to close theirs.
void Watch::part() {
  const Clock::time_point until = Clock::now() + kParting;
  for (Channel& channel : channels_) {
    if (!channel.is_there()) continue;
    if (is_first()) channel.flush(until);
    while (is_first() && Clock::now() < until && channel.read() == Channel::State::open) {
      while (channel.next()) {
      }
      net::wait_for(channel.descriptor(), POLLIN, until);
    }
    channel.close();
  }
}

// One process a machine: who knows what was wrong, else the lowest that is left and runs.
bool Watch::speaks(const End& end) const {
  const auto machine = [&](int rank) { return all_[static_cast<std::size_t>(rank)].machine; };
  const bool can = end.why == End::Why::said || end.rank == rank_;  // the one that it is about
  if (can && machine(end.rank) == machine(rank_)) return end.rank == rank_;
  for (int other = 0; other < rank_; ++other)
    if (other != end.rank && machine(other) == machine(rank_) &&
        !is_halted(all_[static_cast<std::size_t>(other)].process))
      return false;
  return true;
}

// A number of a process may be another one's by the time that it is used; what is held here is not.
void Watch::hold_neighbours() {
  const Participant& me = all_[static_cast<std::size_t>(rank_)];
  for (const Participant& other : all_) {
    const bool here = other.machine == me.machine && other.process != me.process;
    neighbours_.emplace_back(here ? static_cast<int>(::syscall(SYS_pidfd_open, other.process, 0)) : -1);
  }
}

// A process that is halted cannot end by itself, and would hold the run directory. silent: who is known to
// be. Others of this machine may be halted, too.
void Watch::stop_halted(int silent) {
  for (int other = 0; other < static_cast<int>(neighbours_.size()); ++other) {
    const int process = neighbours_[static_cast<std::size_t>(other)].get();
    if (process >= 0 && (other == silent || is_halted(all_[static_cast<std::size_t>(other)].process)))
      ::syscall(SYS_pidfd_send_signal, process, SIGKILL, nullptr, 0);
  }
}

}  // namespace longstride
