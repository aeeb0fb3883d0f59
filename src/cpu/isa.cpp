// This asks the processor what it runs, and LONGSTRIDE_ISA what it should.
#include "cpu/isa.h"

#include <atomic>
#include <cstdlib>
#include <string>

#include "longstride/error.h"

namespace longstride::cpu {

namespace {

constexpr Isa kAll[] = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16};

bool usable(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::avx512_bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
}

std::string names(const std::vector<Isa>& isas) {
  std::string text;
  for (const Isa isa : isas) text += (text.empty() ? "" : ", ") + std::string(to_string(isa));
  return text;
}

void check_usable(Isa isa) {
  if (!usable(isa))
    throw Error(ErrorKind::unavailable, "LONGSTRIDE_ISA: this machine cannot run " + std::string(to_string(isa)) +
                                            "; it runs " + names(usable_isas()));
}

Isa chosen_at_start() {
  const char* forced = std::getenv("LONGSTRIDE_ISA");
  if (forced == nullptr || *forced == '\0') return usable_isas().back();
  for (const Isa isa : kAll) {
    if (std::string(forced) != to_string(isa)) continue;
    check_usable(isa);
    return isa;
  }
  throw_invalid("LONGSTRIDE_ISA: needs one of scalar, avx2, avx512, avx512_bf16, got \"" + std::string(forced) + "\"");
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> value(chosen_at_start());
  return value;
}

}  // namespace

Isa isa() { return current().load(std::memory_order_relaxed); }

std::vector<Isa> usable_isas() {
  std::vector<Isa> found;
  for (const Isa isa : kAll) {
    if (usable(isa)) found.push_back(isa);
  }
  return found;
}

const char* to_string(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
  }
  return "";
}

void force_isa(Isa isa) {
  check_usable(isa);
  current().store(isa, std::memory_order_relaxed);
}

}  // namespace longstride::cpu
