// A sample made while training as a person takes it in: text, pictures in a grid, or sound.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "longstride/config.h"
#include "longstride/image.h"
#include "longstride/sound.h"

namespace longstride {

using MadeSample = std::variant<std::string, Image, Sound>;

// What sequences of tokens are to a model of data.kind. Text and sound: the first alone.
MadeSample made_sample(const DataConfig& data, const std::vector<std::vector<std::uint8_t>>& sequences);

// As a file: its ending with the dot, and its bytes (text as it is, PNG, WAV).
std::string ending_of(const MadeSample& sample);
std::vector<std::uint8_t> file_of(const MadeSample& sample);

}  // namespace longstride
