// What runs attention by the kernels of a card's twin, for tests of kernels.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "cuda/attention/attention.h"
#include "ops/attention_memory.h"

namespace longstride::cuda {

// Memory of a card, which is the host's here; what nobody has written is NaN.
class HostMemory {
 public:
  void* of(std::int64_t bytes) {
    bytes_.assign(static_cast<std::size_t>(bytes), '\xff');
    return bytes_.data();
  }

 private:
  std::vector<char> bytes_;
};

inline RunAll run_by(AttentionKernels kernels) {
  return [kernels](std::vector<Operation> operations) {
    for (const Operation& operation : operations) {
      Stream stream;
      HostMemory memory;
      const auto run = [&]<class Made>(const auto& op, const Made& made) {
        made.run(stream, op, memory.of(made.workspace_bytes()));
      };
      if (const auto* forward = std::get_if<Attention>(&operation))
        run(*forward, AttentionForward(*forward, kernels));
      else if (const auto* backward = std::get_if<AttentionBackward>(&operation))
        run(*backward, AttentionGradient(*backward, kernels));
      else {
        const auto& decode = std::get<DecodeAttention>(operation);
        decode_attention(stream, decode, memory.of(decode_workspace_bytes(decode)));
      }
    }
  };
}

}  // namespace longstride::cuda
