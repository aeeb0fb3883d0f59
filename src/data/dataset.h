// Data as one long row of tokens: bytes of any files, pictures row by row, sound as mu-law codes; files are joined end
// to end in order. Bytes and raw arrays are read where they lie, everything else is decoded once into a file
// (data/decoded.h). Nothing is in memory until it is asked for, so that data larger than memory works.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/decoded.h"
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

struct DatasetOptions {
  std::string cache;                   // folder of decoded data; config.cache goes before it
  const ModelConfig* model = nullptr;  // pictures must fit it: checked before anything is decoded
  const std::atomic<bool>* stop = nullptr;
  std::function<void(const std::string& sentence)> noted;  // may be empty
  std::string run = {};                                    // the folder that is trained into: never data
  std::string other_cache = {};                            // decoded data that nobody asks for here: never data
  // Hears that files are being decoded, which says nothing of the data; empty: `noted` does.
  std::function<void(const std::string& sentence)> decoding = {};
  bool has_weights = false;  // the model is of weights that are there: it is nothing that one sets
  // 0: all is decoded. Above: nothing is, and of what would have to be only the size is known, of sound up to so many
  // tokens.
  std::int64_t undecoded_tokens = 0;
};

// What a run knows its data by: equal where every byte lies where it lay and in the same part. Large data are compared
// by samples (Dataset::mark).
struct DataMark {
  std::int64_t bytes = 0, train_bytes = 0, valid_bytes = 0;  // of all, of the parts
  std::string sha256;                                        // 64 hexadecimal digits; empty: not known
  bool operator==(const DataMark&) const = default;
};

// What differs between two marks, in words: "20,000 bytes then, 40,000 now".
std::string difference_words(const DataMark& then, const DataMark& now);

class Dataset {
 public:
  // config.paths: files and folders; a folder stands for all files below it, sorted by path, without hidden ones.
  // config.kind: found from the files' names where it is empty.
  // Errors: invalid_argument where a path is missing, nothing is to read, files are of several kinds, pictures do not
  // fit the model, or `split` is not shares that sum to 1; corrupt_data where a picture or a sound cannot be read;
  // unavailable where the build cannot read it; stopped where `stop` was set while decoding.
  explicit Dataset(const DataConfig& config, const DatasetOptions& options = {});

  std::int64_t size() const { return size_; }  // tokens, one byte each, at least 1
  bool readable() const { return readable_; }  // false: DatasetOptions::undecoded_tokens kept it from being decoded
  const std::string& kind() const { return config_.kind; }
  std::int64_t unit() const { return unit_; }                // bytes that stay together: of a picture, else 1
  const std::string& describe() const { return describe_; }  // "3 files, 4,154,399 bytes"
  // The configuration with kind, image_size and channels as they were found: what later data must be read with.
  const DataConfig& config() const { return config_; }

  // The byte range of a split: the parts follow one another without gap or overlap, in whole units. CIFAR-10 has its
  // own: the last 1/25 of the training batches (2,000 of 50,000) for validation, the test batch for test.
  ByteRange part(Split split) const;

  // Throws invalid_argument, naming file and remedy, where the part is shorter than one context.
  void require_context(Split split, std::int64_t context) const;

  // Throws invalid_argument, naming file and place, where a byte of the range is no token of a smaller vocabulary than
  // 256: a run must not meet it after hours. Reads the whole range, and nothing where the vocabulary has every byte.
  // Error stopped where `stop` was set meanwhile.
  void require_vocabulary(ByteRange range, std::int64_t vocabulary, const std::atomic<bool>* stop = nullptr) const;

  // Fills `bytes` from joined offset `offset` on; crosses files. Must lie within [0, size()). Safe for many threads.
  void read(std::int64_t offset, std::span<std::uint8_t> bytes) const;

  std::string sha256(ByteRange range) const;  // 64 hexadecimal digits

  // Reads up to 64 MiB; of larger data 1,024 blocks of 4 KiB, the first and the last among them, spread evenly.
  DataMark mark() const;
  // What a run that goes on finds different in its data since they were opened here and had this mark, in words; empty:
  // nothing. Looks at names, sizes and times of the files; only where these differ, at bytes.
  std::string change_since(const DataMark& then) const;
  // What differs where the bytes do that processes are to compute with together, as far as a mark tells.
  std::string identity() const;

 private:
  struct Piece {
    std::string path;
    std::int64_t begin = 0;  // joined offset of its first byte
    std::int64_t size = 0;
    std::int64_t first_byte = 0;  // of the data, in the file
    ino_t inode = 0;
    std::optional<InputFile> file;  // none: opened at each read (beyond the number of files a process may hold)
  };
  void open_text(const std::vector<std::string>& files, const DatasetOptions& options);
  void open_pictures(const std::vector<std::string>& files, const DatasetOptions& options);
  void open_sound(const std::vector<std::string>& files, const DatasetOptions& options);
  void describe_sound(std::int64_t files);
  const Piece& piece_at(std::int64_t offset) const;
  DecodedPlace place(const DatasetOptions& options) const;
  DecodedFile decoded_by(std::string recipe, const std::vector<std::string>& sources, const DatasetOptions& options,
                         const std::function<Decoding(AtomicFile& out)>& decode);
  void add_piece(const std::string& path, std::int64_t first_byte);
  void settle(const Decoding& decoding, const DatasetOptions& options);

  DataConfig config_;
  DatasetOptions quiet_;            // folders alone: what opening them again needs
  std::vector<std::string> files_;  // that the paths stand for
  std::vector<FileState> states_;   // of these, before they were opened
  std::vector<Piece> pieces_;       // none empty
  struct Decoded {
    std::string recipe;
    std::vector<std::string> sources;
  };
  std::optional<Decoded> decoded_;  // pieces are not what the user named
  bool readable_ = true;            // there are pieces
  std::vector<LeftOut> refused_;    // that this user may not read
  std::int64_t size_ = 0, unit_ = 1;
  std::optional<std::array<std::int64_t, 2>> own_parts_;  // where train and valid end; none: by the shares
  std::string name_;                                      // of the data, for messages
  std::string describe_;
};

}  // namespace longstride
