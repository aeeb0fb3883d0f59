// How many bytes of samples a WAV has: what its header promises is held against the file.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "io/file.h"

namespace longstride {

// A length of samples in a header, and where it stands there.
struct WavLength {
  std::size_t at = 0;  // in the file
  std::size_t size = 0;
  std::array<std::uint8_t, 8> bytes{};  // `size` of them
};

// RIFF, its big-endian twin RIFX, and RF64, whose lengths have 64 bits; nothing is said of other files. A writer that
// could not go back, into a pipe for example, leaves a mark in place of the length: such a file has samples up to its
// end, and the true length is returned, to be read in place of the mark. Errors corrupt_data where the file ends before
// its header says, the true length does not fit into the header, or there is MPEG audio in place of samples.
std::optional<WavLength> find_wav_length(const InputFile& file);

}  // namespace longstride
