// Sparse softmax attention on a card: a whole sequence or some of its queries, forward and backward, and one query a
// row against a cache. Shapes are checked before (ops.h). Results depend on shapes and numbers alone: sums have one
// order.
//
// A query that reads no key gets 0 and lse -inf. A score or value that is not finite makes NaN of the outputs that read
// it, and of no others.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/attention/attention_kernels.h"
#include "cuda/card.h"
#include "ops/ops.h"
#include "pattern/walks.h"

namespace longstride::cuda {

// What each head attends to: one Walks for heads of one tiling.
struct HeadWalks {
  std::vector<Walks> walks;
  std::vector<int> of_head;     // (H)
  int sweeps = 0, streams = 0;  // of the head that has most

  HeadWalks() = default;
  explicit HeadWalks(const Attention& shapes);
};

// Made once for its shapes, of which no address is looked at but those of the tilings; `run` takes other addresses of
// the same shapes. Errors: invalid_argument, where a sequence is too long for the device.
class AttentionForward {
 public:
  AttentionForward(const Attention& shapes, AttentionKernels kernels);
  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  void run(Stream& stream, const Attention& op, void* workspace) const;

 private:
  template <class A, int kChannels>
  void launch_sweeps(Stream& stream, const Attention& op, float* partial) const;

  HeadWalks heads_;
  AttentionKernels kernels_;
  std::int64_t workspace_bytes_ = 0;
};

class AttentionGradient {
 public:
  AttentionGradient(const AttentionBackward& shapes, AttentionKernels kernels);
  std::int64_t workspace_bytes() const { return workspace_bytes_; }
  void run(Stream& stream, const AttentionBackward& op, void* workspace) const;

 private:
  HeadWalks heads_;
  AttentionKernels kernels_;
  std::int64_t workspace_bytes_ = 0;
};

std::int64_t decode_workspace_bytes(const DecodeAttention& op);
void decode_attention(Stream& stream, const DecodeAttention& op, void* workspace);

}  // namespace longstride::cuda
