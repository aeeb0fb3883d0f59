// What data are, before anything is trained on them (docs/data.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "longstride/config.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct DataPreview {
  DataConfig data;                 // as it was asked for, with kind, image_size and channels as they were found
  std::string description;         // "3 files, 4,154,399 bytes"
  std::int64_t unit = 1;           // bytes that stay together: of a picture, else 1
  std::vector<std::string> notes;  // what training would say of them: which files are left out, and why
  std::int64_t bytes = 0, train_bytes = 0, valid_bytes = 0, test_bytes = 0;
  double order0_bits = 0;            // order-0 entropy of all bytes, bits a byte
  std::vector<std::uint8_t> window;  // the first tokens of the training part: a picture, or at most one context
};

// Reads the data as training would, all of them once. config.data.cache is where pictures and sound are decoded to.
// noted, which may be empty, hears the notes as they come, and that files are being decoded. Errors: those of training;
// stopped where `stop` was set meanwhile.
DataPreview preview_data(const Config& config, const std::atomic<bool>* stop = nullptr,
                         const std::function<void(const std::string& sentence)>& noted = {});

}  // namespace longstride
#pragma GCC visibility pop
