// Decoded data on disk: made once from files, read from then on, made again where the files change.
//
// FOLDER/KEY.data holds the bytes and nothing else, FOLDER/KEY.json what they were made from; KEY stands for the files'
// names and the way of decoding. Both are written aside, synced and renamed, the second after the first.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/file.h"

namespace longstride {

// Whether a file of a folder of decoded data was made here: KEY.data, KEY.json, or one of them while it is written.
bool is_decoded_name(const std::string& name);

// What the system says of a file (size, times, inode): as long as it stays, so do the bytes. Error as fail_system where
// there is no file.
using FileState = std::array<std::int64_t, 4>;
FileState file_state(const std::string& path);
// The same to be kept and compared with file_state later. A file that was changed a moment ago may be changed again
// within one step of the file system's clock, which no time tells: what is kept of it equals no state, so that its
// bytes are looked at.
FileState lasting_state(const std::string& path);

struct LeftOut {
  std::string path, reason;
  bool folder = false;  // with all that is in it
};

// What is worth knowing of a decoding, also when it is used again.
struct Decoding {
  std::vector<LeftOut> left_out;   // unreadable files, in order
  std::vector<std::string> notes;  // one sentence each
};

struct DecodedFile {
  std::string path;
  Decoding decoding;
};

struct DecodedPlace {
  std::string folder;                                      // made where it is missing
  std::function<void(const std::string& sentence)> noted;  // may be empty
};

// The file made earlier by the same `recipe` from the same `files`, or a new one that `decode` fills. Files are the
// same where size, times and inode are, or else where the SHA-256 of their bytes is; so is the decoded one.
// Errors: those of `decode`; corrupt_data where a file changed meanwhile; exhausted or invalid_argument where the
// folder cannot be written. Nothing stays of a decoding that failed.
DecodedFile open_or_decode(const DecodedPlace& place, const std::string& recipe, const std::vector<std::string>& files,
                           const std::function<Decoding(AtomicFile& out)>& decode);

// Whether there is such a file, made by `recipe` from these files as they are now. Decodes nothing.
bool is_decoded(const std::string& folder, const std::string& recipe, const std::vector<std::string>& files);

}  // namespace longstride
