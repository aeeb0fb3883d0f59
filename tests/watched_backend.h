// A backend that tells when a pass is given its tokens, so that a test can interfere while it runs.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ops/backend.h"

namespace longstride::tests {

// Another backend, with ears.
class WatchedBackend final : public Backend {
 public:
  explicit WatchedBackend(Backend& inner) : inner_(inner) {}
  std::function<void()> uploaded;                   // after memory was written from the host
  std::function<void()> running;                    // before a program runs; what it throws ends the run
  std::function<void(const Program& program)> ran;  // after a program ran: what it wrote may be changed

  void* allocate(std::int64_t bytes) override { return inner_.allocate(bytes); }
  void release(void* memory) noexcept override { inner_.release(memory); }
  void upload(void* to, const void* from_host, std::int64_t bytes) override {
    inner_.upload(to, from_host, bytes);
    if (uploaded) uploaded();
  }
  void download(void* to_host, const void* from, std::int64_t bytes) override { inner_.download(to_host, from, bytes); }
  const void* readable(const void* memory, std::int64_t bytes, std::vector<std::byte>& staging) override {
    return inner_.readable(memory, bytes, staging);
  }
  void copy(void* to, const void* from, std::int64_t bytes) override { inner_.copy(to, from, bytes); }
  void zero(void* memory, std::int64_t bytes) override { inner_.zero(memory, bytes); }
  void wait() override { inner_.wait(); }
  bool memory_is_hosts() const override { return inner_.memory_is_hosts(); }
  std::unique_ptr<Executable> compile(Program program) override {
    return std::make_unique<Watched>(*this, inner_.compile(std::move(program)));
  }
  Facts facts() const override { return inner_.facts(); }
  double product_rate(DType type) const override { return inner_.product_rate(type); }
  double bfloat16_over_float32() const override { return inner_.bfloat16_over_float32(); }

 private:
  class Watched final : public Executable {
   public:
    Watched(WatchedBackend& backend, std::unique_ptr<Executable> inner) : backend_(backend), inner_(std::move(inner)) {}
    std::int64_t arena_bytes() const override { return inner_->arena_bytes(); }
    std::int64_t workspace_bytes() const override { return inner_->workspace_bytes(); }
    void bind(void* arena) override { inner_->bind(arena); }
    const Program& program() const override { return inner_->program(); }
    void run(const StepInputs& inputs, const AtMark& at_mark) override {
      if (backend_.running) backend_.running();
      inner_->run(inputs, at_mark);
      if (backend_.ran) backend_.ran(inner_->program());
    }

   private:
    WatchedBackend& backend_;
    std::unique_ptr<Executable> inner_;
  };

  Backend& inner_;
};

}  // namespace longstride::tests
