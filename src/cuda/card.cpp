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

Found look() {
  Found found;
  cudaDriverGetVersion(&found.driver_version);
  cudaRuntimeGetVersion(&found.runtime_version);
  const cudaError_t counted = cudaGetDeviceCount(&found.cards);
  if (counted == cudaErrorNoDevice) found.cards = 0;
  if (counted != cudaSuccess && counted != cudaErrorNoDevice && counted != cudaErrorInsufficientDriver)
    found.failure = cudaGetErrorString(counted);
  cudaDeviceProp card = {};
  if (counted == cudaSuccess && found.cards > 0 && cudaGetDeviceProperties(&card, 0) == cudaSuccess) {
    found.name = card.name;
    found.major = card.major;
    found.minor = card.minor;
  }
  cudaGetLastError();  // what failed was said
  return found;
}

cudaStream_t stream_of(const Stream& stream) { return static_cast<cudaStream_t>(stream.handle); }
std::size_t size(std::int64_t bytes) { return static_cast<std::size_t>(bytes); }

}  // namespace

void require(int status, const char* what) {
  if (status == cudaSuccess) return;
  const auto error = static_cast<cudaError_t>(status);
  cudaGetLastError();  // the next call begins without it
  const ErrorKind kind = error == cudaErrorMemoryAllocation ? ErrorKind::exhausted : ErrorKind::unavailable;
  throw Error(kind, fmt::format("cuda: {} failed: {}", what, cudaGetErrorString(error)));
}

Card::Card() {
  if (const std::string why = why_no_cuda(); !why.empty()) throw Error(ErrorKind::unavailable, "cuda: " + why);
  require(cudaSetDevice(0), "the start of the card");
  require_memory_to_begin(facts().memory_available_bytes);
  cudaStream_t made = nullptr;
  require(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "a stream");
  stream_.handle = made;
}
Card::~Card() { cudaStreamDestroy(stream_of(stream_)); }

void* Card::allocate(std::int64_t bytes) {
  void* memory = nullptr;
  if (bytes == 0) return memory;
  const cudaError_t status = cudaMalloc(&memory, size(bytes));
  if (status == cudaErrorMemoryAllocation || status == cudaErrorInvalidValue) {  // the latter: more than can be said
    cudaGetLastError();
    throw Error(ErrorKind::exhausted, fmt::format("cuda: needs {} more bytes of the card's memory, {} are free", bytes,
                                                  facts().memory_available_bytes));
  }
  require(status, "memory of the card");
  return memory;
}
void Card::release(void* memory) noexcept { cudaFree(memory); }

// The runtime takes what lies in pageable memory before the call returns, and waits for what it writes there; the other
// direction waits for the stream besides, should the memory be pinned.
void Card::upload(void* to, const void* from_host, std::int64_t bytes) {
  if (bytes == 0) return;
  require(cudaMemcpyAsync(to, from_host, size(bytes), cudaMemcpyHostToDevice, stream_of(stream_)), "an upload");
}
void Card::download(void* to_host, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  require(cudaMemcpyAsync(to_host, from, size(bytes), cudaMemcpyDeviceToHost, stream_of(stream_)), "a download");
  wait();
}
void Card::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  require(cudaMemcpyAsync(to, from, size(bytes), cudaMemcpyDeviceToDevice, stream_of(stream_)), "a copy");
}
void Card::zero(void* memory, std::int64_t bytes) {
  if (bytes == 0) return;
  require(cudaMemsetAsync(memory, 0, size(bytes), stream_of(stream_)), "a clearing of memory");
}
void Card::wait() { require(cudaStreamSynchronize(stream_of(stream_)), "work on the card"); }

// Code for sm_90a runs on cards of that compute capability, and on no later ones.
AttentionKernels Card::attention_kernels() const {
  int major = 0, minor = 0;
  require(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "a look at the card");
  require(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "a look at the card");
#ifdef LONGSTRIDE_CUDA_HAS_90A
  if (major == 9 && minor == 0) return AttentionKernels::hopper;
#endif
  return AttentionKernels::portable;
}

CardFacts Card::facts() const {
  std::size_t free = 0, all = 0;
  require(cudaMemGetInfo(&free, &all), "a look at the card's memory");
  return {look().name, static_cast<std::int64_t>(all), static_cast<std::int64_t>(free)};
}

double Card::time_s(const std::function<void()>& work) {
  struct Events {
    cudaEvent_t begin = nullptr, end = nullptr;
    Events() {
      require(cudaEventCreate(&begin), "an event");
      require(cudaEventCreate(&end), "an event");
    }
    ~Events() { cudaEventDestroy(begin), cudaEventDestroy(end); }
  } events;
  require(cudaEventRecord(events.begin, stream_of(stream_)), "an event");
  work();
  require(cudaEventRecord(events.end, stream_of(stream_)), "an event");
  require(cudaEventSynchronize(events.end), "work on the card");
  float taken_ms = 0;
  require(cudaEventElapsedTime(&taken_ms, events.begin, events.end), "an event");
  return static_cast<double>(taken_ms) / 1000;
}

}  // namespace cuda

std::string why_no_cuda() {
  static const std::string why = cuda::why_unusable(cuda::look());
  return why;
}

std::string card_words() {
  const std::string of_build = "CUDA " + cuda::version_words(cuda::look().runtime_version);
  const std::string why = why_no_cuda();
  return of_build + "; " + (why.empty() ? cuda::look().name : why);
}

}  // namespace longstride
