// A CUDA runtime without a card: runtime.cpp answers the calls that cuda/card.cpp and cuda/nccl_carrier.cpp make, found
// by the linker in the place of the library. Tests say here what the machine has and which calls fail, and see what was
// asked for.
//
// Work of a stream is done as late as the documentation of the calls allows: when somebody waits. Each piece takes one
// millisecond. What lies in host memory counts as pinned, so that a copy waits, too. Memory of a card begins as NaN.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace longstride::tests {

struct RuntimeCard {
  std::string name;
  int major, minor;
  std::int64_t memory_bytes;
  std::int64_t taken_bytes = 0;  // by this process and others
};

struct Runtime {
  int driver_version = 13000;  // 0: there is no driver
  std::vector<RuntimeCard> cards = {{"NVIDIA H200", 9, 0, std::int64_t{140} << 30}};
  std::map<std::string, cudaError_t> failing;  // by the name of a call: what it answers, having done nothing

  // What was made and has not been given back.
  int streams = 0, events = 0, allocations = 0, graphs = 0;
  std::vector<std::string> calls;  // those of streams, memory, events and graphs, in order
};

// The machine that calls are answered for from now on, of which nothing is kept from test to test but the current card
// of each thread, which is the first again on the calling one.
Runtime& begin_runtime();
Runtime& runtime();

// Work of another library's calls, in the stream's order. Where it throws NotYet the stream waits with it: it is tried
// again when somebody waits or asks.
struct NotYet {};
void put_in_stream(cudaStream_t stream, std::function<void()> work);

}  // namespace longstride::tests
