// How many bytes of samples a WAV has: what its header promises is held against the file.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

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
// its header says, or the true length does not fit into the header.
std::optional<WavLength> find_wav_length(std::span<const std::uint8_t> bytes, const std::string& path);

}  // namespace longstride
