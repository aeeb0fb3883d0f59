// Sound as 16-bit samples of one channel, and as the mu-law codes that models of sound have for tokens.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct DataConfig;  // longstride/config.h

struct Sound {
  std::int64_t rate = 12000;          // samples a second
  std::vector<std::int16_t> samples;  // full scale is 32,768
};

// A WAV file that grows and is whole at every moment: its header counts the samples that are there. What stood under
// the name before is replaced when the writer is made.
class WavWriter {
 public:
  // Errors: invalid_argument where the path is wrong, exhausted where the system refuses.
  WavWriter(const std::string& path, std::int64_t rate);
  ~WavWriter();
  WavWriter(WavWriter&& other) noexcept;
  WavWriter& operator=(WavWriter&& other) noexcept;

  // In the file, and counted, when the call returns. Error exhausted where the disk is full or the file would have more
  // than the 4 GiB that a WAV's header can say.
  void append(std::span<const std::int16_t> samples);
  void sync();

 private:
  std::string path_;
  std::int64_t rate_ = 0, samples_ = 0;
  int descriptor_ = -1;
};

// What a model's tokens sound like: mu-law decoded, at data.sample_rate. data.gain is not undone: as loud as the model
// heard it.
Sound token_sound(const DataConfig& data, std::span<const std::uint8_t> tokens);

// The tokens of a WAV or FLAC file as training reads it: one channel, data.sample_rate, data.gain, mu-law; the first
// `most` of them. Errors: those of unreadable files, with their names.
std::vector<std::uint8_t> read_sound(const std::string& path, const DataConfig& data,
                                     std::int64_t most = std::numeric_limits<std::int64_t>::max());

}  // namespace longstride
#pragma GCC visibility pop
