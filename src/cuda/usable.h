// Which cards this build can use, and how it says that one cannot be used.
#pragma once

#include <cstdint>
#include <string>

namespace longstride::cuda {

// What the runtime says of a machine. Versions are CUDA's: 1000 * major + 10 * minor.
struct Found {
  int driver_version = 0;   // the newest CUDA that the driver knows; 0: there is no driver
  int runtime_version = 0;  // the CUDA that this build was made with
  std::string failure;      // why CUDA did not start, for another reason than those; empty where it did
  int cards = 0;
  std::string name;  // of the first
  int major = 0, minor = 0;
};

// A sentence without its end; empty where the first card can be used.
std::string why_unusable(const Found& found);

// "13.0"
std::string version_words(int version);

// What programs, cuBLASLt and the driver take before anything is computed. Error exhausted where less is free.
void require_memory_to_begin(std::int64_t free_bytes);

}  // namespace longstride::cuda
