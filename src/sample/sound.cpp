// longstride/sound.h: a model's tokens as sound, and sound as tokens.
#include "longstride/sound.h"

#include <algorithm>
#include <cmath>

#include "data/mu_law.h"
#include "data/tokens_of_file.h"

namespace longstride {

Sound token_sound(const DataConfig& data, std::span<const std::uint8_t> tokens) {
  Sound sound{data.sample_rate, {}};
  sound.samples.reserve(tokens.size());
  for (const std::uint8_t token : tokens) {
    const double sample = std::round(32768 * mu_law_value(token));
    sound.samples.push_back(static_cast<std::int16_t>(std::clamp(sample, -32768.0, 32767.0)));
  }
  return sound;
}

std::vector<std::uint8_t> read_sound(const std::string& path, const DataConfig& data, std::int64_t most) {
  DataConfig sound = data;
  sound.kind = "sound";
  return tokens_of_file(path, sound, most);
}

}  // namespace longstride
