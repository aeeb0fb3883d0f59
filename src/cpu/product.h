// Dense products by oneDNN, each on one thread: a loop over chunks of fixed size runs them side by side, so that
// results do not depend on how many threads there are. oneDNN fixes its number of threads when a primitive is made,
// hence the care with which they are made here; its largest instruction set is fixed for the process by the first one
// made, so force_isa later changes our kernels and the number format of products, not oneDNN's choice.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "ops/tensor.h"

namespace longstride::cpu {

// c (m, n) = a (m, k) b (k, n), + bias (n) where asked for, added to what is in c where `accumulate`.
struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
  DType type = DType::float32;           // of a and b
  DType result = DType::float32;         // of c
  std::int64_t a_row = 0, a_column = 1;  // strides in elements
  std::int64_t b_row = 0, b_column = 1;
  std::int64_t c_row = 0;
  bool pack = false;  // b is brought into oneDNN's order first (Product::pack)
  bool bias = false;
  bool accumulate = false;
  auto operator<=>(const ProductShape&) const = default;
};

class Product {
 public:
  explicit Product(const ProductShape& shape);
  ~Product();

  std::int64_t scratch_bytes() const;  // that run needs, a thread
  std::int64_t packed_bytes() const;
  bool packs_like(const Product& other) const;
  void pack(const void* b, void* packed);  // on all threads
  // On the calling thread. thread: omp_get_thread_num() in a region of at most the threads that prepare was told.
  // False: oneDNN refused, see check_ran.
  bool run(int thread, const void* a, const void* b, void* c, const float* bias, void* scratch) const;
  void prepare(int threads);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The products of one backend, made when first asked for.
class Products {
 public:
  Product& find(const ProductShape& shape);

 private:
  std::map<ProductShape, std::unique_ptr<Product>> made_;
};

// True where products of bfloat16 run natively; else they are widened and multiplied in float32.
bool native_bfloat16_products();

// A loop over products ends with this: throws Error(exhausted) where one of them did not run.
void check_ran(const char* operation, bool ran);

// Inside a parallel region, before the first product: keeps oneDNN on the thread it is called from.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace longstride::cpu
