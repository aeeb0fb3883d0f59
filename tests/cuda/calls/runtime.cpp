// The calls of the CUDA runtime that cuda/card.cpp makes, by their documentation (runtime.h says when work is done).
#include "runtime.h"

#include <cstring>
#include <functional>
#include <memory>
#include <utility>

namespace longstride::tests {

namespace {

using Work = std::vector<std::function<void()>>;

struct FakeStream {
  int card;
  Work asked;
  bool is_recording = false, is_spoilt = false;  // a recording that something forbidden was done in
  Work recorded;
};
struct FakeEvent {
  int card;
  double done_ms = -1;      // when it was come to; -1: not yet
  int asked = 0, done = 0;  // how often it was put into a stream, and come to
};
struct FakeGraph {
  Work recorded;
};
struct Allocation {
  std::unique_ptr<char[]> bytes;
  std::size_t size;
  int card;
};

struct State {
  Runtime told;
  double now_ms = 0;
  cudaError_t last = cudaSuccess;
  std::map<const char*, Allocation> memory;  // by address
  std::map<FakeStream*, std::unique_ptr<FakeStream>> streams;
  std::map<cudaEvent_t, std::shared_ptr<FakeEvent>> events;  // work that is asked for holds them, too
};
State& state() {
  static State all;
  return all;
}
thread_local int current = 0;

// What a call answers, which the next cudaGetLastError says, too.
cudaError_t answer(cudaError_t error) {
  if (error != cudaSuccess) state().last = error;
  return error;
}
// cudaSuccess where a test has not said otherwise, and there is a driver.
cudaError_t begin_call(const char* name) {
  state().told.calls.emplace_back(name);
  if (const auto told = state().told.failing.find(name); told != state().told.failing.end()) return told->second;
  return state().told.driver_version == 0 ? cudaErrorInsufficientDriver : cudaSuccess;
}

FakeStream* of(cudaStream_t stream) {
  const auto found = state().streams.find(reinterpret_cast<FakeStream*>(stream));
  return found == state().streams.end() ? nullptr : found->first;
}
std::shared_ptr<FakeEvent> of(cudaEvent_t event) {
  const auto found = state().events.find(event);
  return found == state().events.end() ? nullptr : found->second;
}
// As far as it comes. False: nothing was done.
bool finish_own(FakeStream& stream) {
  Work asked = std::exchange(stream.asked, {});
  std::size_t done = 0;
  try {
    for (; done < asked.size(); ++done, state().now_ms += 1) asked[done]();
  } catch (const NotYet&) {
    stream.asked.insert(stream.asked.begin(), asked.begin() + static_cast<std::ptrdiff_t>(done), asked.end());
  }
  return done > 0;
}
void finish_all() {
  for (bool any = true; any;) {
    any = false;
    for (const auto& [stream, owned] : state().streams) any = finish_own(*stream) || any;
  }
}
void finish(FakeStream& stream) {
  finish_own(stream);
  if (!stream.asked.empty()) finish_all();
}
// What a recording may not hold: calls that wait, or that allocate.
bool spoils_a_recording() {
  bool any = false;
  for (const auto& [stream, owned] : state().streams) {
    stream->is_spoilt = stream->is_spoilt || stream->is_recording;
    any = any || stream->is_recording;
  }
  return any;
}
void ask(FakeStream& stream, std::function<void()> piece) {
  (stream.is_recording ? stream.recorded : stream.asked).push_back(std::move(piece));
}

// Whether all of these bytes are of one allocation.
bool is_of_a_card(const void* memory, std::size_t bytes) {
  const char* address = static_cast<const char*>(memory);
  auto after = state().memory.upper_bound(address);
  if (after == state().memory.begin()) return false;
  const auto& [begin, allocation] = *--after;
  return address + bytes <= begin + allocation.size;
}
bool touches_a_card(const void* memory) { return is_of_a_card(memory, 1); }

}  // namespace

Runtime& begin_runtime() {
  state().streams.clear();
  state().memory.clear();
  state().events.clear();
  state().told = {};
  state().last = cudaSuccess;
  current = 0;
  return state().told;
}
Runtime& runtime() { return state().told; }

void put_in_stream(cudaStream_t stream, std::function<void()> work) { ask(*of(stream), std::move(work)); }

}  // namespace longstride::tests

using namespace longstride::tests;

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  *version = runtime().driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (const cudaError_t error = begin_call("cudaGetDeviceCount"); error != cudaSuccess) return answer(error);
  *count = static_cast<int>(runtime().cards.size());
  return answer(*count == 0 ? cudaErrorNoDevice : cudaSuccess);
}
const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorMemoryAllocation) return "out of memory";
  if (error == cudaErrorIllegalAddress) return "an illegal memory access was encountered";
  if (error == cudaErrorInvalidValue) return "invalid argument";
  if (error == cudaErrorSystemDriverMismatch) return "system has unsupported display driver / cuda driver combination";
  return "another error";
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (const cudaError_t error = begin_call("cudaGetDeviceProperties"); error != cudaSuccess) return answer(error);
  if (device < 0 || device >= static_cast<int>(runtime().cards.size())) return answer(cudaErrorInvalidDevice);
  const RuntimeCard& card = runtime().cards[static_cast<std::size_t>(device)];
  *properties = {};
  std::strncpy(properties->name, card.name.c_str(), sizeof(properties->name) - 1);
  properties->major = card.major;
  properties->minor = card.minor;
  properties->totalGlobalMem = static_cast<std::size_t>(card.memory_bytes);
  std::memset(properties->uuid.bytes, 0xa0 + device, sizeof(properties->uuid.bytes));
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (const cudaError_t error = begin_call("cudaDeviceGetAttribute"); error != cudaSuccess) return answer(error);
  if (device < 0 || device >= static_cast<int>(runtime().cards.size())) return answer(cudaErrorInvalidDevice);
  const RuntimeCard& card = runtime().cards[static_cast<std::size_t>(device)];
  if (attribute != cudaDevAttrComputeCapabilityMajor && attribute != cudaDevAttrComputeCapabilityMinor)
    return answer(cudaErrorInvalidValue);  // nobody asks for others
  *value = attribute == cudaDevAttrComputeCapabilityMajor ? card.major : card.minor;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(state().last, cudaSuccess); }
cudaError_t cudaSetDevice(int device) {
  if (const cudaError_t error = begin_call("cudaSetDevice"); error != cudaSuccess) return answer(error);
  if (device < 0 || device >= static_cast<int>(runtime().cards.size())) return answer(cudaErrorInvalidDevice);
  current = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (const cudaError_t error = begin_call("cudaMemGetInfo"); error != cudaSuccess) return answer(error);
  const RuntimeCard& card = runtime().cards[static_cast<std::size_t>(current)];
  *total = static_cast<std::size_t>(card.memory_bytes);
  *free = static_cast<std::size_t>(card.memory_bytes - card.taken_bytes);
  return cudaSuccess;
}

// Memory. What does not fit is an error; a wish that no card could fulfil is an invalid one.
cudaError_t cudaMalloc(void** memory, std::size_t size) {
  *memory = nullptr;
  if (const cudaError_t error = begin_call("cudaMalloc"); error != cudaSuccess) return answer(error);
  if (spoils_a_recording()) return answer(cudaErrorStreamCaptureUnsupported);
  RuntimeCard& card = runtime().cards[static_cast<std::size_t>(current)];
  if (static_cast<std::int64_t>(size) < 0) return answer(cudaErrorInvalidValue);
  if (static_cast<std::int64_t>(size) > card.memory_bytes - card.taken_bytes) return answer(cudaErrorMemoryAllocation);
  Allocation made{std::make_unique<char[]>(size), size, current};
  std::memset(made.bytes.get(), 0xff, size);
  *memory = made.bytes.get();
  card.taken_bytes += static_cast<std::int64_t>(size);
  ++runtime().allocations;
  state().memory.emplace(made.bytes.get(), std::move(made));
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  if (const cudaError_t error = begin_call("cudaFree"); error != cudaSuccess) return answer(error);
  if (memory == nullptr) return cudaSuccess;
  const auto found = state().memory.find(static_cast<const char*>(memory));
  if (found == state().memory.end()) return answer(cudaErrorInvalidValue);
  if (spoils_a_recording()) return answer(cudaErrorStreamCaptureUnsupported);
  finish_all();
  runtime().cards[static_cast<std::size_t>(found->second.card)].taken_bytes -=
      static_cast<std::int64_t>(found->second.size);
  --runtime().allocations;
  state().memory.erase(found);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (const cudaError_t error = begin_call("cudaMemcpyAsync"); error != cudaSuccess) return answer(error);
  FakeStream* const in = of(stream);
  const bool to_card = kind != cudaMemcpyDeviceToHost, from_card = kind != cudaMemcpyHostToDevice;
  if (in == nullptr || kind == cudaMemcpyHostToHost || kind == cudaMemcpyDefault ||
      (to_card ? !is_of_a_card(to, bytes) : touches_a_card(to)) ||
      (from_card ? !is_of_a_card(from, bytes) : touches_a_card(from)))
    return answer(cudaErrorInvalidValue);
  if (from_card) {
    ask(*in, [to, from, bytes] { std::memmove(to, from, bytes); });
  } else {  // from pageable memory it has been read when the call returns
    const char* const source = static_cast<const char*>(from);
    ask(*in, [to, held = std::vector<char>(source, source + bytes)] { std::memcpy(to, held.data(), held.size()); });
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (const cudaError_t error = begin_call("cudaMemsetAsync"); error != cudaSuccess) return answer(error);
  FakeStream* const in = of(stream);
  if (in == nullptr || in->card != current || !is_of_a_card(memory, bytes)) return answer(cudaErrorInvalidValue);
  ask(*in, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (const cudaError_t error = begin_call("cudaStreamCreateWithFlags"); error != cudaSuccess) return answer(error);
  if (flags != cudaStreamNonBlocking) return answer(cudaErrorInvalidValue);  // no other is wanted
  auto made = std::make_unique<FakeStream>(FakeStream{current, {}, false, false, {}});
  *stream = reinterpret_cast<cudaStream_t>(made.get());
  FakeStream* const key = made.get();
  state().streams.emplace(key, std::move(made));
  ++runtime().streams;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (const cudaError_t error = begin_call("cudaStreamDestroy"); error != cudaSuccess) return answer(error);
  FakeStream* const gone = of(stream);
  if (gone == nullptr) return answer(cudaErrorInvalidResourceHandle);
  finish(*gone);
  state().streams.erase(gone);
  --runtime().streams;
  return cudaSuccess;
}
// What a kernel did wrong is said by whoever waits.
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  FakeStream* const in = of(stream);
  if (in == nullptr) return answer(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = begin_call("cudaStreamSynchronize"); error != cudaSuccess) return answer(error);
  if (spoils_a_recording()) return answer(cudaErrorStreamCaptureUnsupported);
  finish(*in);
  return cudaSuccess;
}

// A stream that records notes its work, and hands it over at the end; nothing has been done then.
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const cudaError_t error = begin_call("cudaStreamBeginCapture"); error != cudaSuccess) return answer(error);
  FakeStream* const in = of(stream);
  if (in == nullptr || in->is_recording || mode != cudaStreamCaptureModeThreadLocal)
    return answer(cudaErrorInvalidValue);
  in->is_recording = true, in->is_spoilt = false;
  in->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const FakeStream* const in = of(stream);
  if (in == nullptr) return answer(cudaErrorInvalidResourceHandle);
  *status = !in->is_recording ? cudaStreamCaptureStatusNone
            : in->is_spoilt   ? cudaStreamCaptureStatusInvalidated
                              : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  FakeStream* const in = of(stream);
  if (in == nullptr || !in->is_recording) return answer(cudaErrorInvalidValue);
  in->is_recording = false;
  if (const cudaError_t error = begin_call("cudaStreamEndCapture"); error != cudaSuccess) return answer(error);
  if (in->is_spoilt) return answer(cudaErrorStreamCaptureInvalidated);
  *graph = reinterpret_cast<cudaGraph_t>(new FakeGraph{std::move(in->recorded)});
  ++runtime().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  *made = nullptr;
  if (const cudaError_t error = begin_call("cudaGraphInstantiate"); error != cudaSuccess) return answer(error);
  *made = reinterpret_cast<cudaGraphExec_t>(new FakeGraph(*reinterpret_cast<FakeGraph*>(graph)));
  ++runtime().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<FakeGraph*>(graph);
  --runtime().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete reinterpret_cast<FakeGraph*>(graph);
  --runtime().graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  if (const cudaError_t error = begin_call("cudaGraphLaunch"); error != cudaSuccess) return answer(error);
  FakeStream* const in = of(stream);
  if (in == nullptr || in->card != current) return answer(cudaErrorInvalidResourceHandle);
  const FakeGraph* const launched = reinterpret_cast<FakeGraph*>(graph);  // it has to be there until it is done
  ask(*in, [launched] {
    for (const auto& piece : launched->recorded) piece();
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  if (const cudaError_t error = begin_call("cudaEventCreateWithFlags"); error != cudaSuccess) return answer(error);
  const auto made = std::make_shared<FakeEvent>(FakeEvent{current});
  *event = reinterpret_cast<cudaEvent_t>(made.get());
  state().events[*event] = made;
  ++runtime().events;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  const cudaError_t error = begin_call("cudaEventCreate");
  return error != cudaSuccess ? answer(error) : cudaEventCreateWithFlags(event, cudaEventDefault);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (state().events.erase(event) == 0) return answer(cudaErrorInvalidResourceHandle);
  --runtime().events;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const cudaError_t error = begin_call("cudaEventRecord"); error != cudaSuccess) return answer(error);
  const std::shared_ptr<FakeEvent> recorded = of(event);
  FakeStream* const in = of(stream);
  if (in == nullptr || recorded == nullptr || in->card != recorded->card) return answer(cudaErrorInvalidResourceHandle);
  ++recorded->asked;
  ask(*in, [recorded] {
    ++recorded->done;
    recorded->done_ms = state().now_ms;
    state().now_ms -= 1;  // it takes no time itself
  });
  return cudaSuccess;
}
// For what was asked for so far.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (const cudaError_t error = begin_call("cudaStreamWaitEvent"); error != cudaSuccess) return answer(error);
  const std::shared_ptr<FakeEvent> awaited = of(event);
  FakeStream* const in = of(stream);
  if (in == nullptr || awaited == nullptr || flags != 0) return answer(cudaErrorInvalidResourceHandle);
  ask(*in, [awaited, times = awaited->asked] {
    if (awaited->done < times) throw NotYet();
    state().now_ms -= 1;
  });
  return cudaSuccess;
}
// Work goes on meanwhile; that it is done is said when somebody asks again.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (const cudaError_t error = begin_call("cudaEventQuery"); error != cudaSuccess) return answer(error);
  const std::shared_ptr<FakeEvent> awaited = of(event);
  if (awaited == nullptr) return answer(cudaErrorInvalidResourceHandle);
  if (awaited->done == awaited->asked) return cudaSuccess;
  finish_all();
  return answer(cudaErrorNotReady);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t error = begin_call("cudaEventSynchronize"); error != cudaSuccess) return answer(error);
  finish_all();
  return of(event)->done_ms < 0 ? answer(cudaErrorNotReady) : cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* taken_ms, cudaEvent_t begin, cudaEvent_t end) {
  if (const cudaError_t error = begin_call("cudaEventElapsedTime"); error != cudaSuccess) return answer(error);
  const double from = of(begin)->done_ms, to = of(end)->done_ms;
  if (from < 0 || to < 0) return answer(cudaErrorNotReady);
  *taken_ms = static_cast<float>(to - from);
  return cudaSuccess;
}

}  // extern "C"
