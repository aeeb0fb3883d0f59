// This asks the CUDA runtime for cards, memory and time.
#include "cuda/card.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "cuda/status.h"
#include "cuda/usable.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"

namespace longstride {

namespace cuda {

namespace {

// Groups of hexadecimal digits, as nvidia-smi and CUDA_VISIBLE_DEVICES have them.
std::string words_of(const cudaUUID_t& uuid) {
  std::string words = "GPU";
  for (std::size_t at = 0; at < sizeof(uuid.bytes); ++at) {
    const bool begins = at == 0 || at == 4 || at == 6 || at == 8 || at == 10;
    words += fmt::format("{}{:02x}", begins ? "-" : "", static_cast<unsigned char>(uuid.bytes[at]));
  }
  return words;
}

Found look() {
  Found found;
  cudaDriverGetVersion(&found.driver_version);
  cudaRuntimeGetVersion(&found.runtime_version);
  int cards = 0;
  const cudaError_t counted = cudaGetDeviceCount(&cards);
  if (counted != cudaSuccess && counted != cudaErrorNoDevice && counted != cudaErrorInsufficientDriver)
    found.failure = cudaGetErrorString(counted);
  for (int which = 0; counted == cudaSuccess && which < cards; ++which) {
    cudaDeviceProp card = {};
    if (cudaGetDeviceProperties(&card, which) != cudaSuccess) break;
    found.cards.push_back(
        {card.name, card.major, card.minor, static_cast<std::int64_t>(card.totalGlobalMem), words_of(card.uuid)});
  }
  cudaGetLastError();  // what failed was said
  return found;
}

cudaStream_t stream_of(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }
std::size_t size(std::int64_t bytes) { return static_cast<std::size_t>(bytes); }

// A graph would take the address in the host's memory along, and read there when it is replayed.
void require_not_recorded(cudaStream_t stream, const char* what) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  require(cudaStreamIsCapturing(stream, &status), what);
  if (status != cudaStreamCaptureStatusNone)
    throw Error(ErrorKind::unavailable, fmt::format("cuda: {} cannot be recorded", what));
}

}  // namespace

void require(int status, const char* what) {
  if (status == cudaSuccess) return;
  const auto error = static_cast<cudaError_t>(status);
  cudaGetLastError();  // the next call begins without it
  const ErrorKind kind = error == cudaErrorMemoryAllocation ? ErrorKind::exhausted : ErrorKind::unavailable;
  throw Error(kind, fmt::format("cuda: {} failed: {}", what, cudaGetErrorString(error)));
}

Card::Card(int which) : which_(which) {
  if (const std::string why = why_no_cuda(which); !why.empty()) throw Error(ErrorKind::unavailable, "cuda: " + why);
  require(cudaSetDevice(which), "the start of the card");
  require_memory_to_begin(facts().memory_available_bytes);
  cudaStream_t made = nullptr;
  require(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "a stream");
  stream_.handle = made;
}
Card::~Card() { cudaStreamDestroy(stream_of(stream_)); }

// Each thread has a card of its own that the runtime's calls are about, the first until it says another.
void Card::use() const { require(cudaSetDevice(which_), "the choice of the card"); }

void* Card::allocate(std::int64_t bytes) {
  void* memory = nullptr;
  if (bytes == 0) return memory;
  use();
  const cudaError_t status = cudaMalloc(&memory, size(bytes));
  if (status == cudaErrorMemoryAllocation || status == cudaErrorInvalidValue) {  // the latter: more than can be said
    cudaGetLastError();
    throw Error(ErrorKind::exhausted, fmt::format("cuda: needs {} more bytes of the card's memory, {} are free", bytes,
                                                  facts().memory_available_bytes));
  }
  require(status, "memory of the card");
  return memory;
}
void Card::release(void* memory) noexcept { cudaFree(memory); }  // of whichever card

// The runtime takes what lies in pageable memory before the call returns, and waits for what it writes there; the other
// direction waits for the stream besides, should the memory be pinned.
void Card::upload(void* to, const void* from_host, std::int64_t bytes) {
  if (bytes == 0) return;
  use();
  require_not_recorded(stream_of(stream_), "an upload");
  require(cudaMemcpyAsync(to, from_host, size(bytes), cudaMemcpyHostToDevice, stream_of(stream_)), "an upload");
}
void Card::download(void* to_host, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  use();
  require_not_recorded(stream_of(stream_), "a download");
  require(cudaMemcpyAsync(to_host, from, size(bytes), cudaMemcpyDeviceToHost, stream_of(stream_)), "a download");
  wait();
}
void Card::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  use();
  require(cudaMemcpyAsync(to, from, size(bytes), cudaMemcpyDeviceToDevice, stream_of(stream_)), "a copy");
}
void Card::zero(void* memory, std::int64_t bytes) {
  if (bytes == 0) return;
  use();
  require(cudaMemsetAsync(memory, 0, size(bytes), stream_of(stream_)), "a clearing of memory");
}
void Card::wait() { require(cudaStreamSynchronize(stream_of(stream_)), "work on the card"); }

namespace {

struct Graph : Recorded {
  cudaStream_t stream = nullptr;
  cudaGraphExec_t made = nullptr;
  ~Graph() override {
    if (made == nullptr) return;
    cudaStreamSynchronize(stream);  // it may be at work
    cudaGraphExecDestroy(made);
  }
};

}  // namespace

std::unique_ptr<Recorded> Card::record(const std::function<void()>& work) {
  use();
  auto graph = std::make_unique<Graph>();
  graph->stream = stream_of(stream_);
  require(cudaStreamBeginCapture(graph->stream, cudaStreamCaptureModeThreadLocal), "a recording");
  cudaGraph_t seen = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(graph->stream, &seen);
    if (seen != nullptr) cudaGraphDestroy(seen);
    cudaGetLastError();  // it has been thrown
    throw;
  }
  const cudaError_t ended = cudaStreamEndCapture(graph->stream, &seen);
  const cudaError_t made = ended == cudaSuccess ? cudaGraphInstantiate(&graph->made, seen, 0) : ended;
  if (seen != nullptr) cudaGraphDestroy(seen);
  require(made, "a recording");
  return graph;
}
void Card::replay(const Recorded& recorded) {
  use();
  require(cudaGraphLaunch(static_cast<const Graph&>(recorded).made, stream_of(stream_)), "recorded work");
}

// Code for sm_90a runs on cards of that compute capability, and on no later ones.
AttentionKernels Card::attention_kernels() const {
  int major = 0, minor = 0;
  require(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, which_), "a look at the card");
  require(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, which_), "a look at the card");
#ifdef LONGSTRIDE_CUDA_HAS_90A
  if (major == 9 && minor == 0) return AttentionKernels::hopper;
#endif
  return AttentionKernels::portable;
}

CardFacts Card::facts() const {
  use();
  std::size_t free = 0, all = 0;
  require(cudaMemGetInfo(&free, &all), "a look at the card's memory");
  const Found found = look();
  const auto which = static_cast<std::size_t>(which_);
  return {which < found.cards.size() ? found.cards[which].name : "", static_cast<std::int64_t>(all),
          static_cast<std::int64_t>(free)};
}

double Card::time_s(const std::function<void()>& work) {
  struct Event {
    cudaEvent_t made = nullptr;
    Event() { require(cudaEventCreate(&made), "an event"); }
    ~Event() { cudaEventDestroy(made); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
  };
  use();
  const Event begin, end;
  require(cudaEventRecord(begin.made, stream_of(stream_)), "an event");
  work();
  require(cudaEventRecord(end.made, stream_of(stream_)), "an event");
  require(cudaEventSynchronize(end.made), "work on the card");
  float taken_ms = 0;
  require(cudaEventElapsedTime(&taken_ms, begin.made, end.made), "an event");
  return static_cast<double>(taken_ms) / 1000;
}

}  // namespace cuda

std::string why_no_cuda(int card) { return cuda::why_unusable(cuda::look(), card); }

std::vector<CardInfo> cards() { return cuda::cards_of(cuda::look()); }

std::string card_words() { return cuda::words_of(cuda::look()); }

}  // namespace longstride
