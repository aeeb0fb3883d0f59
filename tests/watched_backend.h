// A backend that tells when a pass is given its tokens, so that a test can interfere while it runs.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ops/backend.h"

namespace longstride::tests {

// Another backend, which calls `uploaded` whenever memory of it is written from the host.
class WatchedBackend final : public Backend {
 public:
  explicit WatchedBackend(Backend& inner) : inner_(inner) {}
  std::function<void()> uploaded;

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
  std::unique_ptr<Executable> compile(Program program) override { return inner_.compile(std::move(program)); }
  Facts facts() const override { return inner_.facts(); }
  double product_rate(DType type) const override { return inner_.product_rate(type); }

 private:
  Backend& inner_;
};

}  // namespace longstride::tests
