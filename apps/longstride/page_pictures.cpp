// Pictures on the page: each as it is, and beside it the bits of its pixels.
#include <fmt/format.h>

#include <algorithm>

#include "page.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::int64_t kShownWidth = 320;  // of a picture on the page, about
constexpr std::int64_t kLargestPixel = 16;

std::string svg(std::int64_t width, std::int64_t height, const std::string& inside) {
  const std::int64_t pixel = std::max<std::int64_t>(1, std::min(kLargestPixel, kShownWidth / width));
  return fmt::format(
      "<svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" shape-rendering=\"crispEdges\" "
      "stroke-width=\"0\">{}</svg>\n",
      width * pixel, height * pixel, width, height, inside);
}

std::string value_name(std::int32_t token) { return fmt::format("{}", token); }

}  // namespace

std::string pictures_body(const std::vector<ScoredToken>& tokens, const DataConfig& data) {
  const std::int64_t height = data.image_size[0], width = data.image_size[1], channels = data.channels;
  const std::vector<std::string> names =
      channels == 3 ? std::vector<std::string>{"red", "green", "blue"} : std::vector<std::string>{"grey"};
  std::string body;
  auto token = tokens.begin();
  for (std::int64_t number = 1; tokens.end() - token >= height * width * channels; ++number) {
    std::string picture, heat;
    double all = 0;
    for (std::int64_t at = 0; at < height * width; ++at) {
      const std::int64_t row = at / width, column = at % width;
      std::string words = fmt::format("row {}, column {}", row, column);
      double bits = 0;
      std::int32_t value[3] = {token->token, token->token, token->token};  // grey is all three
      for (std::int64_t channel = 0; channel < channels; ++channel, ++token) {
        value[channel] = token->token;
        bits += token->bits;
        words += fmt::format("\n{} {}: {}", names[static_cast<std::size_t>(channel)], token->token,
                             expectation(*token, value_name));
      }
      all += bits;
      const std::string place = fmt::format("x=\"{}\" y=\"{}\" width=\"1\" height=\"1\"", column, row);
      picture += fmt::format("<rect {} fill=\"#{:02x}{:02x}{:02x}\"/>", place, value[0], value[1], value[2]);
      heat += fmt::format("<rect {} fill=\"{}\"><title>{}</title></rect>", place,
                          colour(bits / static_cast<double>(channels)), html_escaped(words));
    }
    body +=
        fmt::format("<figure>{}{}<figcaption class=\"small\">picture {}: {:.4f} bits per {}</figcaption></figure>\n",
                    svg(width, height, picture), svg(width, height, heat), with_commas(number),
                    all / static_cast<double>(height * width * channels), bits_unit(data));
  }
  return body;
}

}  // namespace longstride::program
