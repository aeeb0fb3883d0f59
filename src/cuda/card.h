// One card: its memory, and its queue of work. card.cpp knows it through the CUDA runtime; cuda/host/card.cpp is its
// twin for tests, whose memory is the host's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "cuda/attention/attention_kernels.h"

namespace longstride::cuda {

// Work that is done in order. The twin does it at once, or notes it where it is recorded (cuda/host/recorded.h).
struct Stream {
  void* handle = nullptr;  // a cudaStream_t; of the twin: where it notes
};

// Work of a stream, to be put there as a whole again and again: an instantiated CUDA graph. Outlived by its card.
class Recorded {
 public:
  virtual ~Recorded() = default;
};

struct CardFacts {
  std::string name;
  std::int64_t memory_bytes = 0;
  std::int64_t memory_available_bytes = 0;  // now
};

class Card {
 public:
  // Card number `which` of those that this process is shown (CUDA_VISIBLE_DEVICES). Error unavailable: there is none of
  // that number that this build can use; exhausted: others have its memory.
  explicit Card(int which = 0);
  ~Card();
  Card(const Card&) = delete;
  Card& operator=(const Card&) = delete;

  Stream& stream() { return stream_; }

  // Aligned to 256 bytes. Error exhausted.
  void* allocate(std::int64_t bytes);
  void release(void* memory) noexcept;  // waits for the work that was asked for
  // In the stream's order. Of host memory: upload has read it when it returns, download has written it.
  void upload(void* to, const void* from_host, std::int64_t bytes);
  void download(void* to_host, const void* from, std::int64_t bytes);
  void copy(void* to, const void* from, std::int64_t bytes);
  void zero(void* memory, std::int64_t bytes);
  void wait();

  // What `work` puts into the stream, which is not done now. Addresses and numbers stay what they were, so that what
  // changes has to lie in the card's memory. upload, download and wait cannot be recorded. Errors: those of `work`,
  // unavailable; nothing has been done then.
  std::unique_ptr<Recorded> record(const std::function<void()>& work);
  void replay(const Recorded& recorded);  // puts it into the stream

  // To be called before a kernel is launched: it is this card that the calling thread launches on.
  void use() const;

  CardFacts facts() const;
  // Hopper's, where this is such a card and the build has code for it.
  AttentionKernels attention_kernels() const;
  // How long what `work` puts into the stream takes.
  double time_s(const std::function<void()>& work);

 private:
  int which_;
  Stream stream_;
};

}  // namespace longstride::cuda
