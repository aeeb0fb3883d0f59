// A card as a Backend. Work is asked for and done later, in order; `wait` waits. One thread at a time may call it.
#pragma once

#include "cuda/executable.h"
#include "cuda/nccl.h"
#include "ops/backend.h"

namespace longstride::cuda {

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(int card) : shared_(card) {}

  void* allocate(std::int64_t bytes) override { return shared_.card.allocate(bytes); }
  void release(void* memory) noexcept override { shared_.card.release(memory); }
  void upload(void* to, const void* from_host, std::int64_t bytes) override {
    shared_.card.upload(to, from_host, bytes);
  }
  void download(void* to_host, const void* from, std::int64_t bytes) override {
    shared_.card.download(to_host, from, bytes);
  }
  const void* readable(const void* memory, std::int64_t bytes, std::vector<std::byte>& staging) override;
  void copy(void* to, const void* from, std::int64_t bytes) override { shared_.card.copy(to, from, bytes); }
  void zero(void* memory, std::int64_t bytes) override { shared_.card.zero(memory, bytes); }
  void wait() override { shared_.card.wait(); }
  bool memory_is_hosts() const override { return false; }
  std::string why_no_carrier() const override { return why_no_nccl(); }
  std::unique_ptr<Carrier> make_carrier(World& world) override { return make_nccl_carrier(shared_.card, world); }
  std::unique_ptr<Executable> compile(Program program) override;
  Facts facts() const override;
  double product_rate(DType type) const override;
  double bfloat16_over_float32() const override;

 private:
  mutable Shared shared_;  // rates are measured on it
  mutable double rates_[2] = {};
};

}  // namespace longstride::cuda
