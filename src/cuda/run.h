// What an operation is given when it runs on a card.
#pragma once

#include "cuda/card.h"
#include "cuda/product.h"
#include "ops/ops.h"

namespace longstride::cuda {

struct Run {
  Card& card;
  Products& products;
  const StepInputs* inputs = nullptr;  // in the card's memory, for kernels to read
  void* product_workspace = nullptr;   // Products::workspace_bytes()
  char* scratch = nullptr;             // the operation's scratch_bytes(), aligned to 256 bytes

  Stream& stream() const { return card.stream(); }
  void multiply(const ProductShape& shape, const void* a, const void* b, void* c, const float* bias = nullptr) const {
    products.run(stream(), shape, a, b, c, bias, product_workspace);
  }
};

// Of several things in one scratch memory, each begins at a multiple of this.
inline constexpr std::int64_t kScratchAlignment = 256;
constexpr std::int64_t scratch_of(std::int64_t bytes) {
  return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

}  // namespace longstride::cuda
