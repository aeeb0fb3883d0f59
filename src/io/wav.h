// A WAV in memory; WavWriter of longstride/sound.h is one that grows in a file.
#pragma once

#include <cstdint>
#include <vector>

#include "longstride/sound.h"

namespace longstride {

std::vector<std::uint8_t> encode_wav(const Sound& sound);

}  // namespace longstride
