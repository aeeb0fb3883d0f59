// Processes that train and evaluate together, on one machine or many. Their results are the bits of one process
// (docs/parallel.md says under which conditions). A launcher starts them, mpirun, srun or torchrun say; each joins the
// world, hands it to train() in its options, and leaves by letting it go.
//
// A process that dies or falls silent ends all within half a minute, and so does one that calls end_all.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace longstride {
class World;  // the library's own
}

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// How this process ends where another one has died, fallen silent, or ended all. Both are called once, from a thread of
// the world's own: `say` in one process of a machine, with a sentence that names the process and its host; then `leave`
// in all, which may end the process without more ado, for files are whole at any time. Where it is none or returns,
// what waits for other processes throws Error unavailable with that sentence.
struct Ends {
  std::function<void(const std::string& sentence)> say;
  std::function<void(int status)> leave;
};

struct Joining {
  std::string build;                        // in words: what must be the same in all, or else nobody joins
  const std::atomic<bool>* stop = nullptr;  // set: waits for the others no longer, Error stopped
  double patience_s = 25;                   // for the others to come
  double silence_s = 15;                    // after which one that says nothing counts as lost; the first one's, in all
  Ends ends;
};

// By MPI: which processes there are is what the launcher has told it. Error unavailable where the build has no MPI or
// MPI refuses.
std::shared_ptr<World> join_world_by_mpi(const Joining& joining = {});
bool built_with_mpi();

// By TCP, where nothing but the first process's place is known: it takes connections at `port`, and the others look for
// it at `host`, a name or a numeric address. Whoever reaches the port may join, and nothing is encrypted: for networks
// that are trusted. Errors: invalid_argument where ranks or sizes do not fit together or nobody knows the host;
// unavailable where somebody does not come, is of another build, or the port is taken. All get the same sentence.
struct MeetingPlace {
  int rank = 0, size = 1;
  std::string host;
  int port = 0;
};
std::shared_ptr<World> join_world_by_tcp(const MeetingPlace& place, const Joining& joining = {});

int rank_of(const World& world);  // [0, size_of(world))
int size_of(const World& world);

struct Member {
  std::string host;
  int machine = 0;  // counted from 0 in the order of ranks; members of one share its cores
};
std::vector<Member> members_of(const World& world);  // by rank

// Everyone's text, by rank. All call it.
std::vector<std::string> gather(World& world, const std::string& mine);

// For a process that cannot go on: ends all with this status. `sentence` is said with this process's name before it;
// empty: nothing is said. Returns when the others have been told, where Ends::leave does.
void end_all(World& world, const std::string& sentence, int status) noexcept;

}  // namespace longstride
#pragma GCC visibility pop
