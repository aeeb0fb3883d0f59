// Data as one long row of tokens: today bytes of any files, read where they lie. Files are joined end to end in order;
// nothing is read until it is asked for, so that data larger than memory works.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/file.h"
#include "longstride/config.h"

namespace longstride {

// Bytes [begin, end) of the joined files.
struct ByteRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const ByteRange&) const = default;
};

enum class Split { train, valid, test, all };

// "train", "valid", "test", "all". Error invalid_argument otherwise.
Split parse_split(const std::string& word);
std::string to_string(Split split);

class Dataset {
 public:
  // config.paths: files and folders; a folder stands for all files below it, sorted by path, without hidden ones.
  // config.kind: text, or empty, then found from the files' names; image and sound: Error unavailable.
  // Errors: invalid_argument where a path is missing, nothing is to read, or `split` is not shares that sum to 1.
  explicit Dataset(const DataConfig& config);

  std::int64_t size() const { return size_; }  // bytes of all files, at least 1
  const std::string& kind() const { return kind_; }
  std::string describe() const;  // "3 files, 4,154,399 bytes"

  // The byte range of a split: the parts follow one another without gap or overlap, rounded to whole bytes.
  ByteRange part(Split split) const;

  // Throws invalid_argument, naming file and remedy, where the part is shorter than one context.
  void require_context(Split split, std::int64_t context) const;

  // Fills `bytes` from joined offset `offset` on; crosses files. Must lie within [0, size()). Safe for many threads.
  void read(std::int64_t offset, std::span<std::uint8_t> bytes) const;

  std::string sha256(ByteRange range) const;  // 64 hexadecimal digits

 private:
  struct Piece {
    std::string path;
    std::int64_t begin = 0;  // joined offset of its first byte
    std::int64_t size = 0;
    std::optional<MappedFile> map;  // none: opened at each read (beyond the number of maps a process may hold)
  };
  std::string name() const;    // of the data, for messages
  std::vector<Piece> pieces_;  // none empty
  std::int64_t files_ = 0;     // empty ones included
  std::int64_t size_ = 0;
  std::string kind_;
  std::vector<double> split_;
};

}  // namespace longstride
