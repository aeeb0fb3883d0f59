// Sound files in blocks: WAV and FLAC of any rate, depth and number of channels, mixed to one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace longstride {

class SoundReader {
 public:
  // Errors: invalid_argument where the path is wrong, exhausted where the system refuses, corrupt_data where the file
  // is empty, cut, or neither WAV nor FLAC by its first bytes, unavailable where this build has no libsndfile.
  explicit SoundReader(const std::string& path);
  ~SoundReader();

  int rate() const;  // samples a second

  // The next samples, at most mono.size() of them; returns how many, 0 at the end. A sample is the mean of its
  // channels; whole numbers are divided by their full scale (16 bits: by 32,768) and lie in [-1, 1), numbers of float
  // files are as they are. Error corrupt_data where the file is damaged, ends before its header says, or holds what is
  // not finite or beyond 2^100.
  std::size_t read(std::span<double> mono);

 private:
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace longstride
