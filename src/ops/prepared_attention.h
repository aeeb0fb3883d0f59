// One attention by itself, made once for its shapes: for programs that bring their own memory and no network.
#pragma once

#include <cstdint>
#include <memory>

#include "ops/ops.h"

namespace longstride {

class PreparedAttention {
 public:
  virtual ~PreparedAttention() = default;
  // Addresses of the shapes that it was prepared for, checked before. One thread at a time.
  virtual void forward(const Attention& op) = 0;
  virtual void backward(const AttentionBackward& op) = 0;
  virtual std::int64_t scratch_bytes() const = 0;  // kept between calls
};

// Of `shapes` no address is looked at but those of the tilings, which must stay. threads: at most so many; 0: what the
// process uses. The linker finds it in the room of the device, as make_cpu_backend.
std::unique_ptr<PreparedAttention> prepare_attention_on_cpu(const Attention& shapes, int threads);

}  // namespace longstride
