// A training run whose file calls are counted, fail or end it; what it leaves, and what that becomes when the run is
// gone on with. By the built program, or by a copy of this process (fork), which is as good a victim and need not load,
// compile and measure anything again: twenty times as many faults in the same time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/program.h"

namespace longstride {

struct FileCall {  // as tests/faults/preload writes it down
  long number = 0;
  std::string name, path, other;  // paths below the place; other: what a rename makes of it
  bool is(const char* what) const { return name == what; }
  bool changes() const;  // something on the disk, or what of it is certain
};

// Everything that must be the same however a run was interrupted: files by their names below the run, those of
// checkpoints without the numbers that the clock gives them, the log without times and sessions.
using RunContents = std::map<std::string, std::string>;

class FaultedRun : public Workplace {
 public:
  enum class By { fork, program };
  explicit FaultedRun(const std::string& text, By by = By::fork);  // text: one file for all runs that are compared
  FaultedRun(const FaultedRun& other);                             // with the same data, and what is in its place
  void take(const FaultedRun& other);                              // what is in its place

  std::string place() const { return path("place"); }  // its calls are the ones that are seen
  std::string out() const { return path("place/run"); }

  Finished start_run();   // from nothing to the end
  Finished resume_run();  // where there is a run; else from nothing
  bool holds_run() const;
  // The next of the two with this fault ("kill", "cut", "short" or an errno) at call `at`; "every" for each call.
  void set_fault(const std::string& at, const std::string& action);
  void set_durable();                   // keeps what would survive a power cut
  void clear();                         // sees nothing any more
  void warm_up();                       // so that copies of this process find everything measured and compiled
  std::vector<FileCall> calls() const;  // of the last run

  // What a power cut leaves, in the place of the run. entries: of folders all entries that are there now, or those
  // alone that were synced. Of files what was synced.
  enum class Entries { synced, all };
  void cut_power(Entries entries);

  RunContents contents() const;
  // Sentences about checkpoints that cannot be read; one as well where none is there although one was. certain: by
  // syncing, as a power cut asks for it; else by its name.
  std::vector<std::string> damages(const FileCall& fault, bool certain = false) const;
  std::string signature() const;  // equal for two states of the folder that differ in times and process numbers alone

  bool replaces_ = false;          // --overwrite
  std::vector<std::string> more_;  // assignments of the configuration, besides those that all runs have
  int threads_ = 1;                // of a copy of this process
  int stop_at_ = -1;               // the step after which it is asked to stop

 private:
  std::vector<std::string> command() const;  // that starts the run
  Finished run_copy(bool resume) const;
  int train_here(bool resume) const;  // returns the exit status that the program has

  std::string text_;
  By by_;
};

// Names of what differs, with both values where they are short; empty where nothing does.
std::string differences(const RunContents& right, const RunContents& found);

}  // namespace longstride
