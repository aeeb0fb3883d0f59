// What data are, before anything is trained on them (docs/data.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "longstride/config.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct DataPreview {
  DataConfig data;          // as it was asked for, with kind, image_size and channels as they were found
  std::string description;  // "3 files, 4,154,399 bytes"
  std::vector<std::string> notes;  // what training would say of them: which files are left out, and why
  std::int64_t bytes = 0, train_bytes = 0, valid_bytes = 0, test_bytes = 0;
  double order0_bits = 0;            // order-0 entropy of all bytes, bits a byte
  std::vector<std::uint8_t> window;  // the first tokens of the training part: a picture, or at most one context
};

// Reads the data as training would, all of them once. config.data.cache is where pictures and sound are decoded to.
// Errors: those of training; stopped where `stop` was set meanwhile.
DataPreview preview_data(const Config& config, const std::atomic<bool>* stop = nullptr);

}  // namespace longstride
#pragma GCC visibility pop
