// Named tensors in one file (https://github.com/huggingface/safetensors; docs/files.md has the byte diagram), readable
// by the Python package and reading what it writes. Everything a reader relies on is checked when the file is opened.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"

namespace longstride {

// Throws Error corrupt_data: `checkpoint "PATH" WHAT`.
[[noreturn]] void throw_corrupt_checkpoint(const std::string& path, const std::string& what);

// One tensor to be written. `bytes` is not owned.
struct StoredTensor {
  std::string name;
  std::string dtype;  // F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL (F8_E4M3 F8_E5M2); little-endian
  std::vector<std::int64_t> shape;      // row-major; empty: a scalar
  std::span<const std::uint8_t> bytes;  // product of shape times the dtype's size
  // Where it is given it is asked for them when they are written, so that one tensor at a time is in memory.
  std::function<std::span<const std::uint8_t>()> late = {};
};

// One tensor of a file, whose bytes are read when they are asked for.
struct TensorEntry {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0, bytes = 0;  // where they lie in the file, and how many they are
};

// Bytes of one element; 0 for a dtype that is not known.
std::int64_t dtype_bytes(std::string_view dtype);

class SafetensorsFile {
 public:
  // Opens the file and checks its layout: header within the file, tensors in range, without gap or overlap, sizes as
  // dtype and shape say. Errors: invalid_argument where there is no such file, and where it is none of
  // safetensors and its name does not say otherwise; corrupt_data for all else.
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  std::int64_t size() const { return file_.size(); }                                // of the file, bytes
  const std::map<std::string, std::string>& metadata() const { return metadata_; }  // __metadata__
  const std::vector<TensorEntry>& tensors() const { return tensors_; }              // in the order of their bytes

  const TensorEntry* find(std::string_view name) const;    // nullptr where there is none
  const TensorEntry& tensor(std::string_view name) const;  // Error corrupt_data where there is none

  // Calls `take` with the tensor's bytes, block after block; blocks are whole elements and aligned for them.
  void each_block(const TensorEntry& tensor,
                  const std::function<void(std::span<const std::uint8_t> block)>& take) const {
    file_.each_block(tensor.begin, tensor.begin + tensor.bytes, take);
  }
  std::vector<std::uint8_t> read(const TensorEntry& tensor) const { return file_.read(tensor.begin, tensor.bytes); }

  // Reads the whole file against the `sha256` in its metadata: Error corrupt_data where a bit differs. Files without
  // one (other programs') pass. Call before the tensors are used.
  void verify() const;

 private:
  InputFile file_;
  std::string header_;  // JSON, between the length and the data
  std::map<std::string, std::string> metadata_;
  std::vector<TensorEntry> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

// Writes the tensors in the order given, complete or not at all, without a second copy in memory. `sha256` is added to
// the metadata: of all bytes of the file, its own 64 digits counted as zeros. Give dtypes of 8 bytes first, then 4, 2,
// 1 where readers shall find them aligned. Returns that sha256. Error invalid_argument where bytes and shape disagree
// or a name comes twice.
std::string write_safetensors(const std::string& path, const std::map<std::string, std::string>& metadata,
                              const std::vector<StoredTensor>& tensors);

}  // namespace longstride
