// This loads NCCL's library, and makes carriers of it.
#include <dlfcn.h>

#include <fmt/format.h>

#include "cuda/nccl.h"
#include "cuda/nccl_calls.h"
#include "cuda/nccl_carrier.h"
#include "longstride/error.h"

namespace longstride::cuda {

namespace {

constexpr const char* kLibrary = "libnccl.so.2";

std::string version_words(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// The loader's words begin with the name of what it did not find.
NcclLibrary load() {
  NcclLibrary library;
  void* const loaded = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (loaded == nullptr) {
    library.why_not = fmt::format("NCCL was not found ({})", ::dlerror());
    return library;
  }
  const auto find = [&]<class Call>(Call& call, const char* name) {
    call = reinterpret_cast<Call>(::dlsym(loaded, name));
    if (call == nullptr && library.why_not.empty())
      library.why_not = fmt::format("{} has no {}: it is too old", kLibrary, name);
  };
  NcclCalls& calls = library.calls;
  find(calls.get_version, "ncclGetVersion");
  find(calls.get_error_string, "ncclGetErrorString");
  find(calls.get_last_error, "ncclGetLastError");
  find(calls.get_unique_id, "ncclGetUniqueId");
  find(calls.comm_init_rank_config, "ncclCommInitRankConfig");
  find(calls.comm_get_async_error, "ncclCommGetAsyncError");
  find(calls.comm_finalize, "ncclCommFinalize");
  find(calls.comm_destroy, "ncclCommDestroy");
  find(calls.comm_abort, "ncclCommAbort");
  find(calls.group_start, "ncclGroupStart");
  find(calls.group_end, "ncclGroupEnd");
  find(calls.send, "ncclSend");
  find(calls.recv, "ncclRecv");
  if (!library.why_not.empty()) return library;
  int version = 0;
  if (calls.get_version(&version) != ncclSuccess) version = 0;
  library.why_not = why_no_nccl_of_version(version);
  return library;
}

}  // namespace

// A configuration (ncclConfig_t) that is longer than the library's own is not for it.
std::string why_no_nccl_of_version(int version) {
  if (version >= NCCL_VERSION(NCCL_MAJOR, NCCL_MINOR, 0)) return "";
  return fmt::format("{} is NCCL {}, and this build was made with {}", kLibrary, version_words(version),
                     version_words(NCCL_VERSION_CODE));
}

const NcclLibrary& nccl_library() {
  static const NcclLibrary library = load();
  return library;
}

std::string why_no_nccl() { return nccl_library().why_not; }

std::unique_ptr<Carrier> make_nccl_carrier(Card& card, World& world) {
  if (const std::string why = why_no_nccl(); !why.empty()) throw Error(ErrorKind::unavailable, "cuda: " + why);
  return std::make_unique<NcclCarrier>(nccl_library().calls, card, world);
}

}  // namespace longstride::cuda
