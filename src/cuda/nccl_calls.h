// The calls of NCCL that cuda/nccl_carrier.h makes, as the library has them that is loaded when they are first needed.
#pragma once

#include <nccl.h>

#include <string>

namespace longstride::cuda {

struct NcclCalls {
  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetErrorString) get_error_string;
  decltype(&ncclGetLastError) get_last_error;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) comm_init_rank_config;
  decltype(&ncclCommGetAsyncError) comm_get_async_error;
  decltype(&ncclCommFinalize) comm_finalize;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclCommAbort) comm_abort;
  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) recv;
};

struct NcclLibrary {
  NcclCalls calls = {};
  std::string why_not;  // a sentence without its end; empty: it can be used
};
// Of this process, loaded when first asked for and kept.
const NcclLibrary& nccl_library();

// Whether a library of this version understands what a build with these headers gives it: not an earlier one.
std::string why_no_nccl_of_version(int version);

}  // namespace longstride::cuda
