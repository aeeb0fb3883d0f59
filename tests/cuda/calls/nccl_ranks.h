// An NCCL without cards, for the calls that cuda/nccl_carrier.cpp makes: communicators whose ranks are all in this
// process, on the runtime of runtime.h. Calls return before they are done, as those of communicators that do not block
// may; what is sent arrives when somebody looks. Tests say here which calls fail, and see what was asked for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cuda/nccl_calls.h"

namespace longstride::tests {

struct Nccl {
  std::map<std::string, ncclResult_t> failing;  // by the name of a call: what it answers, having done nothing
  ncclResult_t state = ncclSuccess;             // that every communicator is in from now on
  bool never_ready = false;                     // calls that are under way stay so
  std::string last_error;

  int communicators = 0;           // that were made and not given back
  int aborted = 0;                 // of those that were given back
  std::vector<std::string> calls;  // "ncclSend 2: 100 bytes"
};

Nccl& begin_nccl();
Nccl& nccl();
extern const cuda::NcclCalls kNcclCalls;

}  // namespace longstride::tests
