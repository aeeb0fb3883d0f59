// Sparse softmax attention on the CPU: the whole sequence forward and backward, and one token of decoding. Shapes are
// checked before (ops.h); scale > 0. Results do not depend on the number of threads.
//
// A query that reads no key gets 0 and lse -inf. A score or value that is not finite makes NaN of the outputs that read
// it, and of no others.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride {

class Workspace;

// Scratch memory for these shapes and for the threads that OpenMP would use now.
std::int64_t attention_workspace_bytes(const Attention& op);
std::int64_t attention_backward_workspace_bytes(const AttentionBackward& op);

void attention_forward(const Attention& op, Workspace& workspace);
void attention_backward(const AttentionBackward& op, Workspace& workspace);
void decode_attention(const DecodeAttention& op, Workspace& workspace);

}  // namespace longstride
