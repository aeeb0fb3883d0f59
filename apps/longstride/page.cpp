// The page's frame: its head, its colours and the figure that all its tokens add up to.
#include "page.h"

#include <fmt/format.h>

#include <algorithm>

#include "words.h"

namespace longstride::program {
namespace {

constexpr int kColours = 16;  // of half a bit each
constexpr double kLevelsPerBit = 2;

int level_of(double bits) { return static_cast<int>(std::clamp(bits * kLevelsPerBit, 0.0, kColours - 1.0)); }

// Of each level's class; writing turns white on the darkest.
std::string colours() {
  std::string rules;
  for (int level = 0; level < kColours; ++level)
    rules += fmt::format(".b{}{{background:{}{}}}\n", level, colour(level / kLevelsPerBit),
                         level > kColours * 2 / 3 ? ";color:#fff" : "");
  return rules;
}

std::string legend() {
  std::string boxes;
  for (int level = 0; level < kColours; ++level)
    boxes += fmt::format("<i class=\"b{}\">&nbsp;{}&nbsp;</i>", level,
                         level % 2 == 0 ? fmt::format("{}", level / 2) : "&nbsp;");
  return boxes + "+";
}

constexpr const char* kRules =
    R"css(body{font:16px/1.5 sans-serif;margin:2em auto;max-width:72em;padding:0 1em;background:#fff;color:#111}
i{font-style:normal}
i.mark{border:1px solid;opacity:.6;font-size:75%}
pre{font:15px/1.7 monospace;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:bidi-override;direction:ltr;border:1px solid #ccc;padding:1em}
figure{display:inline-block;margin:0 1em 1em 0}
svg{display:inline-block;margin-right:4px;max-width:100%;height:auto}
.small{color:#555;font-size:85%}
)css";

}  // namespace

std::string html_escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      case '\n':
        safe += "&#10;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

// From nearly white over orange to a dark red.
std::string colour(double bits) {
  constexpr double kStops[3][3] = {{255, 253, 240}, {253, 174, 97}, {180, 10, 10}};
  const double along = 2.0 * level_of(bits) / (kColours - 1);
  const int stop = along < 1 ? 0 : 1;
  int rgb[3];
  for (int channel = 0; channel < 3; ++channel) {
    const double from = kStops[stop][channel], to = kStops[stop + 1][channel];
    rgb[channel] = static_cast<int>(from + (along - stop) * (to - from) + 0.5);
  }
  return fmt::format("#{:02x}{:02x}{:02x}", rgb[0], rgb[1], rgb[2]);
}

std::string colour_class(double bits) { return fmt::format("b{}", level_of(bits)); }

std::string expectation(const ScoredToken& token, const std::function<std::string(std::int32_t)>& name) {
  std::string words = fmt::format("{:.2f} bits", token.bits);
  for (std::size_t rank = 0; rank < token.expected.size(); ++rank) {
    const LikelyToken& likely = token.expected[rank];
    words +=
        fmt::format("{}{} {:.3g}%", rank == 0 ? "; expected " : ", ", name(likely.token), 100 * likely.probability);
  }
  return words;
}

std::string page_html(const std::vector<ScoredToken>& tokens, const Evaluation& result, const DataConfig& data) {
  double bits = 0;
  for (const ScoredToken& token : tokens) bits += token.bits;
  const std::string unit = bits_unit(data);
  const std::string body = result.kind == "image"   ? pictures_body(tokens, data)
                           : result.kind == "sound" ? sound_body(tokens, data)
                                                    : text_body(tokens);
  const std::string title = fmt::format("{:.4f} bits per {}", result.bits_per_byte, unit);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{0}</title>\n<style>\n{1}{2}</style>"
      "</head>\n<body>\n<h1>{0}</h1>\n<p>{3:.2f} bits over {4}.</p>\n<p class=\"small\">Bits a {5}: {6} Point at one "
      "to see its bits and what the model expected in its place.</p>\n{7}</body>\n</html>\n",
      title, kRules, colours(), bits, html_escaped(escaped(protocol_words(result))), unit, legend(), body);
}

}  // namespace longstride::program
