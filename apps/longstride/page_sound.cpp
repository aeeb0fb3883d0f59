// Sound on the page: its waveform, each column coloured by the bits of its samples.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "longstride/sound.h"
#include "page.h"

namespace longstride::program {
namespace {

constexpr std::int64_t kStripColumns = 1000, kMostStrips = 8, kStripHeight = 96;
constexpr std::int64_t kFullScale = 32768;

std::string code_name(std::int32_t token) { return fmt::format("code {}", token); }

double height_of(std::int16_t sample) {
  return static_cast<double>(kStripHeight) / 2 * (1 - static_cast<double>(sample) / static_cast<double>(kFullScale));
}

// One column: from the lowest to the highest of its samples, and at least a pixel.
std::string column_rect(std::int64_t x, std::span<const ScoredToken> tokens, std::span<const std::int16_t> samples,
                        double begin_s) {
  double bits = 0;
  for (const ScoredToken& token : tokens) bits += token.bits;
  const auto [low, high] = std::minmax_element(samples.begin(), samples.end());
  const auto worst = std::max_element(tokens.begin(), tokens.end(),
                                      [](const ScoredToken& a, const ScoredToken& b) { return a.bits < b.bits; });
  const std::string words =
      fmt::format("{:.4f} s: {:.2f} bits a sample\nmost surprising: {}, {}", begin_s,
                  bits / static_cast<double>(tokens.size()), code_name(worst->token), expectation(*worst, code_name));
  const double top = height_of(*high), bottom = std::max(height_of(*low), top + 1);
  const std::string behind = colour(bits / static_cast<double>(tokens.size()));
  return fmt::format(
      "<g><title>{}</title><rect x=\"{}\" y=\"0\" width=\"1\" height=\"{}\" fill=\"{}\"/>"
      "<rect x=\"{}\" y=\"{:.1f}\" width=\"1\" height=\"{:.1f}\" fill=\"#111\"/></g>",
      html_escaped(words), x, kStripHeight, behind, x, top, bottom - top);
}

}  // namespace

std::string sound_body(const std::vector<ScoredToken>& tokens, const DataConfig& data) {
  std::vector<std::uint8_t> codes;
  for (const ScoredToken& token : tokens) codes.push_back(static_cast<std::uint8_t>(token.token));
  const std::vector<std::int16_t> samples = token_sound(data, codes).samples;
  const std::int64_t size = std::ssize(tokens), most = kStripColumns * kMostStrips;
  const std::int64_t each = std::max<std::int64_t>(1, (size + most - 1) / most);  // samples a column
  std::string body, strip;
  for (std::int64_t at = 0, column = 0; at < size; at += each, ++column) {
    const auto first = static_cast<std::size_t>(at), count = static_cast<std::size_t>(std::min(each, size - at));
    strip += column_rect(column % kStripColumns, std::span(tokens).subspan(first, count),
                         std::span(samples).subspan(first, count),
                         static_cast<double>(tokens[first].at) / static_cast<double>(data.sample_rate));
    if (column % kStripColumns < kStripColumns - 1 && at + each < size) continue;
    body += fmt::format(
        "<figure><svg width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" stroke-width=\"0\">{2}</svg>"
        "</figure>\n",
        kStripColumns, kStripHeight, strip);
    strip.clear();
  }
  return body;
}

}  // namespace longstride::program
