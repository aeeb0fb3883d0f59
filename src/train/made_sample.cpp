// This turns the tokens of a sample into text, a picture or sound, and those into the bytes of a file.
#include "train/made_sample.h"

#include <algorithm>
#include <cmath>

#include "io/png.h"
#include "io/wav.h"

namespace longstride {

MadeSample made_sample(const DataConfig& data, const std::vector<std::vector<std::uint8_t>>& sequences) {
  const std::vector<std::uint8_t>& first = sequences.front();
  if (data.kind == "sound") return token_sound(data, first);
  if (data.kind != "image") return std::string(first.begin(), first.end());
  std::vector<Image> pictures;
  for (const std::vector<std::uint8_t>& tokens : sequences) pictures.push_back(token_picture(data, tokens));
  return picture_grid(pictures, std::llround(std::ceil(std::sqrt(static_cast<double>(pictures.size())))));
}

std::string ending_of(const MadeSample& sample) {
  if (std::holds_alternative<Image>(sample)) return ".png";
  return std::holds_alternative<Sound>(sample) ? ".wav" : ".txt";
}

std::vector<std::uint8_t> file_of(const MadeSample& sample) {
  if (const auto* image = std::get_if<Image>(&sample)) return encode_png(*image);
  if (const auto* sound = std::get_if<Sound>(&sample)) return encode_wav(*sound);
  const std::string& text = std::get<std::string>(sample);
  return {text.begin(), text.end()};
}

}  // namespace longstride
