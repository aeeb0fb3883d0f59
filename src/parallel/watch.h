// Processes that watch one another: each has a connection to the first one, over which a thread of its own says every
// second that it is there, however long a step takes. The first one tells all who has died, fallen silent or wants all
// to end. A process leaves when all do.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "longstride/processes.h"
#include "parallel/meeting.h"

namespace longstride {

class Watch {
 public:
  // met: its channels, and how long a silence all take for a loss. ends: of the caller (longstride/processes.h).
  Watch(int rank, Met met, const Ends& ends);
  ~Watch();  // waits until all processes leave, unless the end has come
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Called once with the sentence where the end comes, or has come already; none: nobody is called any more. For what
  // waits for the others.
  void on_end(std::function<void(const std::string&)> told);
  // Ends all processes: returns when they have been told, where `ends.leave` returns.
  void end_all(const std::string& sentence, int status) noexcept;
  // This process has done its part: from now on nobody misses it.
  void leave() noexcept;
  // Whether the end comes within so many seconds.
  bool end_comes(double seconds);

  const std::vector<Participant>& all() const { return all_; }

 private:
  using Clock = net::Clock;
  struct End {
    enum class Why { died, silent, said } why = Why::died;
    int rank = 0;  // whose
    int status = 1;
    std::string sentence;
    std::string text() const;  // as it is sent
  };

  bool is_first() const { return rank_ == 0; }
  std::string words(int rank) const;
  void watch();
  bool look();  // false: all is over
  void wait();
  std::optional<End> listen(int from);
  std::optional<End> lost(int other, Clock::time_point now) const;
  std::optional<End> asked();
  bool anyone_stays();
  void beat(Clock::time_point now);
  void end(const End& end);
  void part();  // from those who leave, so that nothing that is under way to them is lost
  bool speaks(const End& end) const;
  void hold_neighbours();
  void stop_halted(int silent);

  const int rank_;
  const std::vector<Participant> all_;
  const Ends ends_;
  const Clock::duration silence_, beat_;  // a second, of the usual silence

  // Of the thread alone:
  std::vector<net::Channel> channels_;  // by rank, as they met
  std::vector<Clock::time_point> heard_;
  std::vector<bool> left_;
  std::vector<Descriptor> neighbours_;  // by rank: processes of this machine
  Clock::time_point beaten_, looked_;
  bool said_leaving_ = false;
  std::optional<Clock::time_point> told_first_;  // that all are to end

  Descriptor wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void(const std::string&)> told_;
  std::optional<End> wanted_, ended_;
  bool leaving_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace longstride
