// The CPU as a Backend: every operation runs before the call returns, memory is the host's. One thread at a time may
// call a backend; it uses threads() of them.
#pragma once

#include <optional>

#include "cpu/product.h"
#include "cpu/program.h"
#include "cpu/workspace.h"
#include "ops/backend.h"

namespace longstride {

class CpuBackend : public Backend {
 public:
  CpuBackend();

  void* allocate(std::int64_t bytes) override;
  void release(void* memory) noexcept override;
  void upload(void* to, const void* from_host, std::int64_t bytes) override;
  void download(void* to_host, const void* from, std::int64_t bytes) override;
  void copy(void* to, const void* from, std::int64_t bytes) override;
  void zero(void* memory, std::int64_t bytes) override;
  void wait() override {}
  bool host_memory() const override { return true; }

  std::int64_t workspace_bytes(const Linear& op) const override;
  std::int64_t workspace_bytes(const LinearBackwardData& op) const override;
  std::int64_t workspace_bytes(const LinearBackwardWeights& op) const override;
  std::int64_t workspace_bytes(const ResidualNormBackward& op) const override;
  std::int64_t workspace_bytes(const Attention& op) const override;
  std::int64_t workspace_bytes(const AttentionBackward& op) const override;
  std::int64_t workspace_bytes(const VocabularyLoss& op) const override;
  void reserve_workspace(std::int64_t bytes) override;

  void embed(const Embed& op) override;
  void embed_backward(const EmbedBackward& op) override;
  void residual_norm(const ResidualNorm& op) override;
  void residual_norm_backward(const ResidualNormBackward& op) override;
  void linear(const Linear& op) override;
  void linear_backward_data(const LinearBackwardData& op) override;
  void linear_backward_weights(const LinearBackwardWeights& op) override;
  void attention(const Attention& op) override;
  void attention_backward(const AttentionBackward& op) override;
  void vocabulary_loss(const VocabularyLoss& op) override;
  void adamw(const AdamW& op) override;
  void decode_attention(const DecodeAttention& op) override;
  void store_keys_values(const StoreKeysValues& op) override;
  void run(std::span<const Operation> program) override;
  double sum_squares(const float* x, std::int64_t count) override;
  void to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) override;

 private:
  mutable Products products_;  // to know the memory of a product is to make it
  Workspace workspace_;
  std::optional<Crew> crew_;  // made by the first program
};

}  // namespace longstride
