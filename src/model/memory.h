// Memory planned before the first step: named buffers with lifetimes, laid out once in one block of a backend's memory.
// Rule: everything a network, a trainer or a decoder touches in its loop is taken here, nothing is allocated later.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/backend.h"

namespace longstride {

inline constexpr std::int64_t kAlignment = 64;  // bytes: a cache line and the widest vector

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
  std::int32_t* i32() const { return static_cast<std::int32_t*>(data_); }
  std::int64_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

// Buffers that live from stage `first` to stage `last` (both included) of a step may share bytes with buffers that
// live at other stages. add, add, ..., then lay_out once; offsets are then fixed.
class MemoryPlan {
 public:
  // Returns the buffer's index. bytes may be 0.
  std::size_t add(std::string name, std::int64_t bytes, int first, int last);
  void lay_out();  // largest first, each at the lowest offset that is free during its lifetime

  std::int64_t total_bytes() const { return total_; }
  std::int64_t offset(std::size_t buffer) const { return buffers_[buffer].offset; }
  std::int64_t bytes(std::size_t buffer) const { return buffers_[buffer].bytes; }
  const std::string& name(std::size_t buffer) const { return buffers_[buffer].name; }
  bool overlap_in_time(std::size_t a, std::size_t b) const;
  std::size_t count() const { return buffers_.size(); }

 private:
  struct Planned {
    std::string name;
    std::int64_t bytes;
    int first, last;
    std::int64_t offset;
  };
  std::vector<Planned> buffers_;
  std::int64_t total_ = 0;
};

}  // namespace longstride
