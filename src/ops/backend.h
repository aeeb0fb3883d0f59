// All that a device must do. The model, the trainer and the decoder know no other way to compute. Pointers in
// operations point into memory of the backend (allocate), token lists and slot lists too; Tilings are host values.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "ops/ops.h"

namespace longstride {

class Backend {
 public:
  virtual ~Backend() = default;

  // Memory of the device, aligned to 64 bytes, contents undefined and untouched. Error exhausted: says how much.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void upload(void* to, const void* from_host, std::int64_t bytes) = 0;
  virtual void download(void* to_host, const void* from, std::int64_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::int64_t bytes) = 0;
  virtual void zero(void* memory, std::int64_t bytes) = 0;
  virtual void wait() = 0;                            // until everything asked for is done
  virtual bool host_memory() const { return false; }  // after wait() the host may read and write its memory in place

  // Scratch memory that an operation of these shapes needs (pointers are not looked at). Before the first step the
  // largest is reserved; an operation that needs more than was reserved grows it.
  virtual std::int64_t workspace_bytes(const Linear&) const = 0;
  virtual std::int64_t workspace_bytes(const LinearBackwardData&) const = 0;
  virtual std::int64_t workspace_bytes(const LinearBackwardWeights&) const = 0;
  virtual std::int64_t workspace_bytes(const ResidualNormBackward&) const = 0;
  virtual std::int64_t workspace_bytes(const Attention&) const = 0;
  virtual std::int64_t workspace_bytes(const AttentionBackward&) const = 0;
  virtual std::int64_t workspace_bytes(const VocabularyLoss&) const = 0;
  virtual void reserve_workspace(std::int64_t bytes) = 0;

  // The operations of ops.h, shapes already checked.
  virtual void embed(const Embed&) = 0;
  virtual void embed_backward(const EmbedBackward&) = 0;
  virtual void residual_norm(const ResidualNorm&) = 0;
  virtual void residual_norm_backward(const ResidualNormBackward&) = 0;
  virtual void linear(const Linear&) = 0;
  virtual void linear_backward_data(const LinearBackwardData&) = 0;
  virtual void linear_backward_weights(const LinearBackwardWeights&) = 0;
  virtual void attention(const Attention&) = 0;
  virtual void attention_backward(const AttentionBackward&) = 0;
  virtual void vocabulary_loss(const VocabularyLoss&) = 0;
  virtual void adamw(const AdamW&) = 0;
  virtual void decode_attention(const DecodeAttention&) = 0;
  virtual void store_keys_values(const StoreKeysValues&) = 0;

  // One after another, each with what those before it have left: the same as calling them in turn, which is what it
  // does unless a device knows better (one parallel region, one graph).
  virtual void run(std::span<const Operation> program);

  virtual double sum_squares(const float* x, std::int64_t count) = 0;  // in a fixed order; not finite where x is not
  virtual void to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) = 0;
};

// One a device; where a build lacks the device, the linker finds a stub that throws Error(unavailable).
std::unique_ptr<Backend> make_cpu_backend();

}  // namespace longstride
