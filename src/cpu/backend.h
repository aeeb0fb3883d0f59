// The CPU as a Backend: every operation has run before the call returns, memory is the host's. One thread at a time may
// call a backend; it uses threads() of them.
#pragma once

#include "cpu/executable.h"
#include "ops/backend.h"

namespace longstride::cpu {

class CpuBackend : public Backend {
 public:
  CpuBackend();

  void* allocate(std::int64_t bytes) override;
  void release(void* memory) noexcept override;
  void upload(void* to, const void* from_host, std::int64_t bytes) override;
  void download(void* to_host, const void* from, std::int64_t bytes) override;
  const void* readable(const void* memory, std::int64_t, std::vector<std::byte>&) override { return memory; }
  void copy(void* to, const void* from, std::int64_t bytes) override;
  void zero(void* memory, std::int64_t bytes) override;
  void wait() override {}
  bool memory_is_hosts() const override { return true; }
  std::unique_ptr<Executable> compile(Program program) override;
  Facts facts() const override;
  double product_rate(DType type) const override;
  double bfloat16_over_float32() const override;

 private:
  CpuShared shared_;
};

}  // namespace longstride::cpu
