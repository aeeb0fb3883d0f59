// A processor that says that its memory is not the host's, and has a carrier of it that a test chooses.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/backend.h"
#include "train/carriage.h"

namespace longstride {

class Elsewhere final : public Backend {
 public:
  std::string why_none;  // it has no carrier
  std::function<std::unique_ptr<Carrier>(Backend& inner, World& world)> make = carrier_through_host;

  void* allocate(std::int64_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory) noexcept override { inner_->release(memory); }
  void upload(void* to, const void* from, std::int64_t bytes) override { inner_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::int64_t bytes) override { inner_->download(to, from, bytes); }
  const void* readable(const void* memory, std::int64_t bytes, std::vector<std::byte>& staging) override {
    staging.resize(static_cast<std::size_t>(bytes));
    inner_->download(staging.data(), memory, bytes);
    return staging.data();
  }
  void copy(void* to, const void* from, std::int64_t bytes) override { inner_->copy(to, from, bytes); }
  void zero(void* memory, std::int64_t bytes) override { inner_->zero(memory, bytes); }
  void wait() override {}
  bool memory_is_hosts() const override { return false; }
  std::string why_no_carrier() const override { return why_none; }
  std::unique_ptr<Carrier> make_carrier(World& world) override { return make(*inner_, world); }
  std::unique_ptr<Executable> compile(Program program) override { return inner_->compile(std::move(program)); }
  Facts facts() const override { return inner_->facts(); }
  double product_rate(DType type) const override { return inner_->product_rate(type); }
  double bfloat16_over_float32() const override { return inner_->bfloat16_over_float32(); }

 private:
  std::unique_ptr<Backend> inner_ = make_backend(Device::cpu);
};

}  // namespace longstride
