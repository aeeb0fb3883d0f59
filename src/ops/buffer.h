// Memory of a backend that is given back when its owner goes.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ops/backend.h"

namespace longstride {

// Owned memory of a backend.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, std::int64_t bytes)
      : backend_(&backend), data_(bytes > 0 ? backend.allocate(bytes) : nullptr), bytes_(bytes) {}
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) backend_->release(data_);
  }
  void* data() const { return data_; }
  float* f32() const { return static_cast<float*>(data_); }
  std::uint16_t* bf16() const { return static_cast<std::uint16_t*>(data_); }
  explicit operator bool() const { return bytes_ > 0; }
  // All of it as operands of so many bytes an element.
  Array<float> floats() const { return array(f32(), bytes_ / 4); }
  Array<std::uint16_t> halves() const { return array(bf16(), bytes_ / 2); }
  std::int64_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// Programs of one backend that run one at a time, in memory as large as the largest of them needs.
class ProgramArena {
 public:
  explicit ProgramArena(Backend& backend) : backend_(backend) {}

  // Compiles a program and binds it here. Where the memory is too small a larger one takes its place, and the programs
  // that are still there are bound to that. Errors: as compile; exhausted: the others run as before.
  std::shared_ptr<Executable> add(Program program);

 private:
  Backend& backend_;
  Buffer memory_;
  std::vector<std::weak_ptr<Executable>> programs_;
};

}  // namespace longstride
