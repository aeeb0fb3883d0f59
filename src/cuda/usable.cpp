// This says in words what a machine lacks of what cards need.
#include "cuda/usable.h"

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride::cuda {

std::string version_words(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

// A driver of a major version runs what was made with a later minor version of it.
std::string why_unusable(const Found& found) {
  constexpr int kLeastMajor = 8;  // bfloat16 products, asynchronous copies
  if (found.driver_version == 0) return "no NVIDIA driver was found";
  if (found.driver_version / 1000 < found.runtime_version / 1000)
    return fmt::format("the NVIDIA driver knows CUDA {}, and this build was made with {}",
                       version_words(found.driver_version), version_words(found.runtime_version));
  if (!found.failure.empty()) return "CUDA did not start (" + found.failure + ")";
  if (found.cards == 0) return "no NVIDIA card was found";
  if (found.major < kLeastMajor)
    return fmt::format("the card {} has compute capability {}.{}, and at least {}.0 is needed", found.name, found.major,
                       found.minor, kLeastMajor);
  return "";
}

void require_memory_to_begin(std::int64_t free_bytes) {
  constexpr std::int64_t kToBegin = 256'000'000;
  if (free_bytes >= kToBegin) return;
  throw Error(ErrorKind::exhausted, fmt::format("cuda: needs {} MB of the card's memory to begin with, {} MB are free",
                                                kToBegin / 1'000'000, free_bytes / 1'000'000));
}

}  // namespace longstride::cuda
