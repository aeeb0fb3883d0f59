// What a person sees while a command works, on standard error: one line that renews itself on a terminal, a plain line
// a minute elsewhere (in files, and on terminals that obey no codes). Quiet shows nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace longstride::program {

class ProgressLine {
 public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine() { finish(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Both are shown as a terminal may (escaped_lines).
  void show(const std::string& line);   // the state now; not every one is shown
  bool due() const;                     // one would be
  void print(const std::string& text);  // lines that stay, above the one that renews; a line end is added
  void finish();                        // shows the last state and leaves it
  void clear();                         // takes the renewing line away: something else will be printed there

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& state);

  bool quiet_;
  bool terminal_;
  bool drawn_ = false;   // a renewing line is on the screen
  std::string pending_;  // the last state, where it was not shown
  Clock::time_point shown_{};
};

// How fast pieces of equal work get done, from the first one on. side_by_side: as many are done elsewhere, meanwhile,
// for each that is done here.
class Pace {
 public:
  explicit Pace(double total, double side_by_side = 1) : total_(total), side_by_side_(side_by_side) {}
  void add();
  std::string words() const;  // "34%  812 tokens/s  3 s left"; empty while that would be a guess

 private:
  double total_, side_by_side_;
  std::int64_t done_ = 0;
  std::chrono::steady_clock::time_point begun_{};  // when the first was done
};

}  // namespace longstride::program
