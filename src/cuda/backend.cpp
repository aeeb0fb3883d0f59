// This is the entrance to a card: its memory, its facts, its programs.
#include "cuda/backend.h"

#include <algorithm>

#include "ops/buffer.h"
#include "ops/philox.h"

namespace longstride::cuda {

namespace {

// Numbers that are not all alike: a card takes less power for those, and is faster.
void fill(Shared& shared, const Buffer& to, DType type) {
  constexpr std::int64_t kDifferent = 1 << 16;
  std::vector<float> floats;
  std::vector<std::uint16_t> halves;
  for (std::int64_t i = 0; i < kDifferent; ++i) {
    const PhiloxBlock words = philox({static_cast<std::uint32_t>(i), 0, 0, 0}, philox_key(0, Purpose::test));
    floats.push_back(2 * uniform_float(words[0]) - 1);
    halves.push_back(bfloat16_from_float(floats.back()));
  }
  const void* from = type == DType::float32 ? static_cast<const void*>(floats.data()) : halves.data();
  const std::int64_t bytes = std::min(to.bytes(), kDifferent * size_of(type));
  shared.card.upload(to.data(), from, bytes);
  for (std::int64_t filled = bytes; filled < to.bytes(); filled *= 2)
    shared.card.copy(static_cast<char*>(to.data()) + filled, to.data(), std::min(filled, to.bytes() - filled));
}

// Multiply-adds a second of the largest square product that takes no longer than needed to be timed.
double measure_products(Shared& shared, Backend& backend, DType type) {
  constexpr std::int64_t kLeast = 256, kMost = 8192;
  constexpr double kEnough_s = 1e-3;
  constexpr int kTimes = 5;
  const Buffer workspace(backend, Products::workspace_bytes());
  for (std::int64_t size = kLeast;; size *= 2) {
    const Buffer a(backend, size * size * size_of(type)), b(backend, a.bytes()), c(backend, a.bytes());
    fill(shared, a, type), fill(shared, b, type);
    const ProductShape shape{.m = size,
                             .n = size,
                             .k = size,
                             .type = type,
                             .c_type = type,
                             .a_stride = size,
                             .b_stride = size,
                             .c_stride = size,
                             .b_transposed = true};
    const auto once = [&] {
      shared.products.run(shared.card.stream(), shape, a.data(), b.data(), c.data(), nullptr, workspace.data());
    };
    once();  // what is done the first time only
    double best_s = shared.card.time_s(once);
    if (best_s < kEnough_s && size < kMost) continue;
    for (int time = 1; time < kTimes; ++time) best_s = std::min(best_s, shared.card.time_s(once));
    return static_cast<double>(size * size * size) / best_s;
  }
}

}  // namespace

const void* CudaBackend::readable(const void* memory, std::int64_t bytes, std::vector<std::byte>& staging) {
  staging.resize(static_cast<std::size_t>(bytes));
  download(staging.data(), memory, bytes);
  return staging.data();
}

std::unique_ptr<Executable> CudaBackend::compile(Program program) {
  return std::make_unique<CudaExecutable>(std::move(program), shared_);
}

Facts CudaBackend::facts() const {
  const CardFacts card = shared_.card.facts();
  return {"cuda", card.name, card.memory_bytes, card.memory_available_bytes, true};
}

double CudaBackend::product_rate(DType type) const {
  double& rate = rates_[type == DType::bfloat16];
  if (rate == 0) rate = measure_products(shared_, const_cast<CudaBackend&>(*this), type);
  return rate;
}

double CudaBackend::bfloat16_over_float32() const {
  return product_rate(DType::bfloat16) / product_rate(DType::float32);
}

}  // namespace longstride::cuda

namespace longstride {

std::unique_ptr<Backend> make_cuda_backend(int card) { return std::make_unique<cuda::CudaBackend>(card); }

}  // namespace longstride
