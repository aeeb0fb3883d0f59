// This hands each operation of ops/backend.h to the file that computes it, with the memory and workspace it needs.
#include "cpu/backend.h"

#include <cstring>

#include "cpu/attention.h"
#include "cpu/embed.h"
#include "cpu/isa.h"
#include "cpu/linear.h"
#include "cpu/norm.h"
#include "cpu/optimizer.h"
#include "cpu/program.h"
#include "cpu/threads.h"

namespace longstride {

namespace {
std::size_t size(std::int64_t bytes) { return static_cast<std::size_t>(bytes); }
}  // namespace

CpuBackend::CpuBackend() { isa(); }  // a LONGSTRIDE_ISA that cannot be is said here

void* CpuBackend::allocate(std::int64_t bytes) { return allocate_aligned("cpu", bytes); }
void CpuBackend::release(void* memory) noexcept { release_aligned(memory); }
void CpuBackend::upload(void* to, const void* from_host, std::int64_t bytes) { copy(to, from_host, bytes); }
void CpuBackend::download(void* to_host, const void* from, std::int64_t bytes) { copy(to_host, from, bytes); }
void CpuBackend::copy(void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0) std::memmove(to, from, size(bytes));
}
void CpuBackend::zero(void* memory, std::int64_t bytes) {
  if (bytes > 0) std::memset(memory, 0, size(bytes));
}

std::int64_t CpuBackend::workspace_bytes(const Linear& op) const { return linear_workspace_bytes(op, products_); }
std::int64_t CpuBackend::workspace_bytes(const LinearBackwardData& op) const {
  return linear_backward_data_workspace_bytes(op, products_);
}
std::int64_t CpuBackend::workspace_bytes(const LinearBackwardWeights& op) const {
  return linear_backward_weights_workspace_bytes(op, products_);
}
std::int64_t CpuBackend::workspace_bytes(const ResidualNormBackward& op) const {
  return residual_norm_backward_workspace_bytes(op);
}
std::int64_t CpuBackend::workspace_bytes(const Attention& op) const { return attention_workspace_bytes(op); }
std::int64_t CpuBackend::workspace_bytes(const AttentionBackward& op) const {
  return attention_backward_workspace_bytes(op);
}
std::int64_t CpuBackend::workspace_bytes(const VocabularyLoss& op) const {
  return vocabulary_loss_workspace_bytes(op, products_);
}
void CpuBackend::reserve_workspace(std::int64_t bytes) { workspace_.reserve(bytes); }

void CpuBackend::embed(const Embed& op) { embed_forward(op); }
void CpuBackend::embed_backward(const EmbedBackward& op) { longstride::embed_backward(op); }
void CpuBackend::residual_norm(const ResidualNorm& op) { longstride::residual_norm(op, workspace_); }
void CpuBackend::residual_norm_backward(const ResidualNormBackward& op) {
  longstride::residual_norm_backward(op, workspace_);
}
void CpuBackend::linear(const Linear& op) { linear_forward(op, products_, workspace_); }
void CpuBackend::linear_backward_data(const LinearBackwardData& op) {
  longstride::linear_backward_data(op, products_, workspace_);
}
void CpuBackend::linear_backward_weights(const LinearBackwardWeights& op) {
  longstride::linear_backward_weights(op, products_, workspace_);
}
void CpuBackend::attention(const Attention& op) { attention_forward(op, workspace_); }
void CpuBackend::attention_backward(const AttentionBackward& op) { longstride::attention_backward(op, workspace_); }
void CpuBackend::vocabulary_loss(const VocabularyLoss& op) { longstride::vocabulary_loss(op, products_, workspace_); }
void CpuBackend::adamw(const AdamW& op) { longstride::adamw(op); }
void CpuBackend::decode_attention(const DecodeAttention& op) { longstride::decode_attention(op, workspace_); }
void CpuBackend::store_keys_values(const StoreKeysValues& op) { longstride::store_keys_values(op); }
void CpuBackend::run(std::span<const Operation> program) {
  if (!Crew::can_run(program)) return Backend::run(program);
  if (!crew_ || crew_->threads() != threads()) crew_.emplace(threads());
  crew_->run(program, workspace_);
}
double CpuBackend::sum_squares(const float* x, std::int64_t count) {
  return longstride::sum_squares(x, count, workspace_);
}
void CpuBackend::to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) {
  longstride::to_bfloat16(x, y, count);
}

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace longstride
