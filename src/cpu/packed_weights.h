// Weights in the order in which oneDNN multiplies by them, kept from run to run until what they were made of is written
// again. One copy serves all programs that multiply by the same weights in the same order; it goes with the last.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "cpu/row_product.h"
#include "cpu/workspace.h"

namespace longstride::cpu {

class PackedWeights {
 public:
  class Copy {
   public:
    explicit Copy(std::int64_t bytes) : bytes_(bytes) {}
    ~Copy() { release_aligned(memory_); }
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;

    // w packed for this product: in the workspace the first time after it was written, for a pass may be the only one;
    // kept from the second time on. Valid until the workspace's scope ends.
    const void* of(const Matrix& w, const RowProduct& product, Workspace& workspace);

   private:
    friend class PackedWeights;
    enum class State : std::uint8_t { written, used_once, kept };
    std::int64_t bytes_;
    void* memory_ = nullptr;  // none until they are kept
    State state_ = State::written;
  };

  // The copy that is there already, or a new one.
  std::shared_ptr<Copy> copy_of(const Matrix& w, const RowProduct& product);
  // Memory of the backend was written, or given to somebody.
  void written(const void* memory, std::int64_t bytes);

 private:
  // By where the weights begin and end.
  std::map<std::tuple<const char*, const char*, RowProduct::Order>, std::weak_ptr<Copy>> copies_;
  const char* end_ = nullptr;  // of the last weights
};

}  // namespace longstride::cpu
