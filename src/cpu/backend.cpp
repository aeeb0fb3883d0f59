// This is the CPU's memory, its facts, and the entrance to its programs.
#include "cpu/backend.h"

#include <cstring>
#include <mutex>

#include "cpu/isa.h"
#include "longstride/device.h"
#include "longstride/error.h"

namespace longstride::cpu {

namespace {
void move(void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0 && to != from) std::memmove(to, from, static_cast<std::size_t>(bytes));
}
}  // namespace

CpuBackend::CpuBackend() { isa(); }  // a LONGSTRIDE_ISA that cannot be is said here

void* CpuBackend::allocate(std::int64_t bytes) {
  void* memory = allocate_aligned("cpu", bytes);
  shared_.packed.written(memory, bytes);
  return memory;
}
void CpuBackend::release(void* memory) noexcept { release_aligned(memory); }
void CpuBackend::upload(void* to, const void* from_host, std::int64_t bytes) { copy(to, from_host, bytes); }
void CpuBackend::download(void* to_host, const void* from, std::int64_t bytes) { move(to_host, from, bytes); }
void CpuBackend::copy(void* to, const void* from, std::int64_t bytes) {
  move(to, from, bytes);
  shared_.packed.written(to, bytes);
}
void CpuBackend::zero(void* memory, std::int64_t bytes) {
  if (bytes > 0) std::memset(memory, 0, static_cast<std::size_t>(bytes));
  shared_.packed.written(memory, bytes);
}

std::unique_ptr<Executable> CpuBackend::compile(Program program) {
  return std::make_unique<CpuExecutable>(std::move(program), shared_);
}

Facts CpuBackend::facts() const {
  const MachineInfo machine = machine_info();
  return {"cpu", machine.processor, machine.memory_bytes, machine.memory_available_bytes, machine.bfloat16};
}

double CpuBackend::product_rate(DType type) const {
  static std::mutex mutex;
  static double rates[2] = {};
  const std::lock_guard<std::mutex> lock(mutex);
  double& rate = rates[type == DType::bfloat16];
  if (rate == 0) rate = measure_peak_multiply_adds(type == DType::bfloat16);
  return rate;
}

}  // namespace longstride::cpu

namespace longstride {

// oneDNN makes its programs in memory, and where it gets none the process ends by a signal, without a word.
std::unique_ptr<Backend> make_cpu_backend() {
  constexpr std::int64_t kForPrograms = 16'000'000;
  const std::int64_t free = machine_info().memory_available_bytes;
  if (free < kForPrograms) {
    throw Error(ErrorKind::exhausted,
                "cpu: needs 16 MB of memory to begin with, " + std::to_string(free / 1'000'000) + " MB are free");
  }
  return std::make_unique<cpu::CpuBackend>();
}

}  // namespace longstride
