// Sparse softmax attention on the CPU, a whole sequence or some of its queries, forward and backward. Shapes are
// checked before (ops.h); scale > 0. Results do not depend on the number of threads.
//
// A query that reads no key gets 0 and lse -inf. A score or value that is not finite makes NaN of the outputs that read
// it, and of no others.
#pragma once

#include <cstdint>
#include <memory>

#include "cpu/threads.h"
#include "ops/ops.h"

namespace longstride::cpu {

class Workspace;

// An attention, or its gradients, whose schedule was made once. Of `shapes` no address is looked at but those of the
// tilings, which must stay; `run` takes other addresses of the same shapes, changes nothing in the object, and
// allocates nothing where the workspace holds workspace_bytes().
template <class Op>
class AttentionPass {
 public:
  explicit AttentionPass(const Op& shapes, int threads = cpu::threads());
  ~AttentionPass();
  AttentionPass(AttentionPass&&) noexcept;
  AttentionPass& operator=(AttentionPass&&) noexcept;
  std::int64_t workspace_bytes() const;
  void run(const Op& op, Workspace& workspace) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};
using AttentionForward = AttentionPass<Attention>;
using AttentionGradient = AttentionPass<AttentionBackward>;
template <>
AttentionForward::AttentionPass(const Attention& shapes, int threads);
template <>
void AttentionForward::run(const Attention& op, Workspace& workspace) const;
template <>
AttentionGradient::AttentionPass(const AttentionBackward& shapes, int threads);
template <>
void AttentionGradient::run(const AttentionBackward& op, Workspace& workspace) const;

// Made and run once.
inline void attention_forward(const Attention& op, Workspace& workspace) { AttentionForward(op).run(op, workspace); }
inline void attention_backward(const AttentionBackward& op, Workspace& workspace) {
  AttentionGradient(op).run(op, workspace);
}

}  // namespace longstride::cpu
