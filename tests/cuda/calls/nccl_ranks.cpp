// The calls of NCCL, by their documentation (nccl_ranks.h says when they are done).
#include "nccl_ranks.h"

#include <cstring>
#include <deque>
#include <memory>
#include <utility>

#include "runtime.h"

namespace longstride::tests {

namespace {

using Message = std::vector<char>;

struct Clique {
  int size = 0;
  std::map<int, cudaStream_t> streams;                        // by rank, of its last group
  std::map<std::pair<int, int>, std::deque<Message>> on_way;  // from, to
};

struct Communicator {
  std::shared_ptr<Clique> clique;
  int rank = 0;
  int looks = 0;  // that say ncclInProgress
  bool is_finalized = false, is_gone = false;
};

struct Asked {
  std::string name;
  void* data;
  std::size_t bytes;
  int peer;
  std::shared_ptr<Communicator> by;
  cudaStream_t stream;
};

struct State {
  Nccl told;
  std::map<std::string, std::shared_ptr<Clique>> cliques;  // by what their identity says
  std::map<ncclComm_t, std::shared_ptr<Communicator>> communicators;
  int identities = 0, groups = 0;
  std::vector<Asked> group;
};
State& state() {
  static State all;
  return all;
}

constexpr int kLooks = 2;  // until what is under way is done

ncclResult_t begin_call(const char* name, const std::string& with = "") {
  state().told.calls.push_back(name + with);
  const auto told = state().told.failing.find(name);
  return told == state().told.failing.end() ? ncclSuccess : told->second;
}

std::shared_ptr<Communicator> of(ncclComm_t comm) {
  const auto found = state().communicators.find(comm);
  return found == state().communicators.end() ? nullptr : found->second;
}

// In the stream's order. What has not come yet keeps the stream waiting, until its communicator is gone.
void put(const Asked& asked) {
  const bool sends = asked.name == "ncclSend";
  put_in_stream(asked.stream, [asked, sends] {
    Communicator& by = *asked.by;
    if (by.is_gone) return;
    auto& on_way = by.clique->on_way;
    if (sends) {
      const char* const data = static_cast<const char*>(asked.data);
      on_way[{by.rank, asked.peer}].emplace_back(data, data + asked.bytes);
      return;
    }
    std::deque<Message>& coming = on_way[{asked.peer, by.rank}];
    if (coming.empty()) throw NotYet();
    if (coming.front().size() != asked.bytes) state().told.state = ncclInvalidUsage;
    if (coming.front().size() == asked.bytes) std::memcpy(asked.data, coming.front().data(), asked.bytes);
    coming.pop_front();
  });
}

ncclResult_t get_version(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
const char* get_error_string(ncclResult_t result) {
  if (result == ncclRemoteError) return "remote process exited or there was a network error";
  if (result == ncclSystemError) return "unhandled system error";
  if (result == ncclInvalidUsage) return "invalid usage";
  return "another error";
}
const char* get_last_error(ncclComm_t) { return state().told.last_error.c_str(); }

ncclResult_t get_unique_id(ncclUniqueId* id) {
  if (const ncclResult_t result = begin_call("ncclGetUniqueId"); result != ncclSuccess) return result;
  const std::string name = "clique " + std::to_string(state().identities++);
  std::memcpy(id->internal, name.c_str(), name.size() + 1);
  return ncclSuccess;
}
ncclResult_t comm_init_rank_config(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (const ncclResult_t result = begin_call("ncclCommInitRankConfig"); result != ncclSuccess) return result;
  if (config->magic != 0xcafebeef || config->blocking != 0 || rank < 0 || rank >= size) return ncclInvalidArgument;
  std::shared_ptr<Clique>& clique = state().cliques[id.internal];
  if (!clique) clique = std::make_shared<Clique>(Clique{size, {}, {}});
  if (clique->size != size) return ncclInvalidUsage;
  const auto made = std::make_shared<Communicator>(Communicator{clique, rank, kLooks});
  *comm = reinterpret_cast<ncclComm_t>(made.get());
  state().communicators[*comm] = made;
  ++state().told.communicators;
  return ncclInProgress;
}
ncclResult_t comm_get_async_error(ncclComm_t comm, ncclResult_t* result) {
  if (const ncclResult_t failed = begin_call("ncclCommGetAsyncError"); failed != ncclSuccess) return failed;
  const std::shared_ptr<Communicator> one = of(comm);
  if (!one) return ncclInvalidArgument;
  *result = state().told.state;
  if (*result == ncclSuccess && one->looks > 0) *result = ncclInProgress;
  if (!state().told.never_ready && one->looks > 0) --one->looks;
  return ncclSuccess;
}
ncclResult_t comm_finalize(ncclComm_t comm) {
  if (const ncclResult_t result = begin_call("ncclCommFinalize"); result != ncclSuccess) return result;
  const std::shared_ptr<Communicator> one = of(comm);
  if (!one || one->is_finalized || one->looks > 0) return ncclInvalidArgument;
  one->is_finalized = true;
  one->looks = kLooks;
  return ncclInProgress;
}
ncclResult_t give_back(const char* name, ncclComm_t comm, bool finalized) {
  if (const ncclResult_t result = begin_call(name); result != ncclSuccess) return result;
  const std::shared_ptr<Communicator> one = of(comm);
  if (!one || (finalized && (!one->is_finalized || one->looks > 0))) return ncclInvalidArgument;
  one->is_gone = true;
  state().communicators.erase(comm);
  --state().told.communicators;
  state().told.aborted += finalized ? 0 : 1;
  return ncclSuccess;
}
ncclResult_t comm_destroy(ncclComm_t comm) { return give_back("ncclCommDestroy", comm, true); }
ncclResult_t comm_abort(ncclComm_t comm) { return give_back("ncclCommAbort", comm, false); }

ncclResult_t group_start() {
  if (const ncclResult_t result = begin_call("ncclGroupStart"); result != ncclSuccess) return result;
  ++state().groups;
  return ncclSuccess;
}
ncclResult_t group_end() {
  const ncclResult_t result = begin_call("ncclGroupEnd");
  if (state().groups-- != 1) return ncclInvalidUsage;
  std::vector<Asked> group = std::exchange(state().group, {});
  if (result != ncclSuccess) return result;
  for (const char* name : {"ncclSend", "ncclRecv"})  // what waits must not keep back what another one waits for
    for (const Asked& asked : group)
      if (asked.name == name) put(asked);
  for (const Asked& asked : group) asked.by->looks = kLooks;
  return ncclInProgress;
}
ncclResult_t ask(const char* name, void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                 cudaStream_t stream) {
  const ncclResult_t result = begin_call(name, " " + std::to_string(peer) + ": " + std::to_string(count) + " bytes");
  if (result != ncclSuccess) return result;
  if (const auto told = state().told.failing.find(name); told != state().told.failing.end()) return told->second;
  const std::shared_ptr<Communicator> one = of(comm);
  if (!one || one->looks > 0 || type != ncclInt8 || state().groups != 1) return ncclInvalidUsage;
  if (peer < 0 || peer >= one->clique->size || peer == one->rank) return ncclInvalidArgument;
  state().group.push_back({name, data, count, peer, one, stream});
  return ncclInProgress;
}
ncclResult_t send(const void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                  cudaStream_t stream) {
  return ask("ncclSend", const_cast<void*>(data), count, type, peer, comm, stream);
}
ncclResult_t recv(void* data, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return ask("ncclRecv", data, count, type, peer, comm, stream);
}

}  // namespace

Nccl& begin_nccl() {
  state() = State();
  return state().told;
}
Nccl& nccl() { return state().told; }

const cuda::NcclCalls kNcclCalls = {get_version,
                                    get_error_string,
                                    get_last_error,
                                    get_unique_id,
                                    comm_init_rank_config,
                                    comm_get_async_error,
                                    comm_finalize,
                                    comm_destroy,
                                    comm_abort,
                                    group_start,
                                    group_end,
                                    send,
                                    recv};

}  // namespace longstride::tests
