// Which cards this build can use, and how it says that one cannot be used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longstride/device.h"

namespace longstride::cuda {

// What the runtime says of a machine. Versions are CUDA's: 1000 * major + 10 * minor.
struct Found {
  int driver_version = 0;   // the newest CUDA that the driver knows; 0: there is no driver
  int runtime_version = 0;  // the CUDA that this build was made with
  std::string failure;      // why CUDA did not start, for another reason than those; empty where it did
  struct Card {
    std::string name;
    int major = 0, minor = 0;  // its compute capability
    std::int64_t memory_bytes = 0;
    std::string id = {};  // its UUID as nvidia-smi writes it
  };
  std::vector<Card> cards;
};

// A sentence without its end; empty where card number `which` can be used.
std::string why_unusable(const Found& found, int which = 0);

std::vector<CardInfo> cards_of(const Found& found);
// "CUDA 13.0; NVIDIA H200 (150.8 GB)", the numbers before the names where there are several, or why there is none.
std::string words_of(const Found& found);

// "13.0"
std::string version_words(int version);

// What programs, cuBLASLt and the driver take before anything is computed. Error exhausted where less is free.
void require_memory_to_begin(std::int64_t free_bytes);

}  // namespace longstride::cuda
