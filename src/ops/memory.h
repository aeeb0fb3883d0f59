// Memory planned before it is taken: named buffers with lifetimes, laid out once in one block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longstride {

inline constexpr std::int64_t kAlignment = 64;  // bytes: a cache line and the widest vector
inline std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Buffers that live from stage `first` to stage `last` (both included) of a step may share bytes with buffers that
// live at other stages. Programs count stages in operations (ops/program.h). add, add, ..., then lay_out once; offsets
// are then fixed.
class MemoryPlan {
 public:
  // Returns the buffer's index. bytes may be 0; 0 <= first <= last.
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
