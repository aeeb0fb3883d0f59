// One attention with its schedules and scratch memory, see ops/prepared_attention.h.
#include "ops/prepared_attention.h"

#include <optional>

#include "cpu/attention.h"
#include "cpu/workspace.h"

namespace longstride {

using cpu::Workspace;

namespace {

class OnCpu : public PreparedAttention {
 public:
  OnCpu(const Attention& shapes, int threads) : threads_(threads), forward_(shapes, threads) {
    workspace_.reserve(forward_.workspace_bytes());
  }
  void forward(const Attention& op) override { forward_.run(op, workspace_); }
  void backward(const AttentionBackward& op) override {
    if (!gradient_) {
      gradient_.emplace(op, threads_);
      workspace_.reserve(gradient_->workspace_bytes());
    }
    gradient_->run(op, workspace_);
  }
  std::int64_t scratch_bytes() const override { return workspace_.reserved_bytes(); }

 private:
  int threads_;
  cpu::AttentionForward forward_;
  std::optional<cpu::AttentionGradient> gradient_;
  Workspace workspace_;
};

}  // namespace

std::unique_ptr<PreparedAttention> prepare_attention_on_cpu(const Attention& shapes, int thread_count) {
  return std::make_unique<OnCpu>(shapes, thread_count == 0 ? cpu::threads() : thread_count);
}

}  // namespace longstride
