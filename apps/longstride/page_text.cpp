// Text on the page: a character's bytes together, coloured by the bits of all of them.
#include <fmt/format.h>

#include "longstride/utf8.h"
#include "page.h"

namespace longstride::program {
namespace {

// A byte by itself, in the words of what points at it.
std::string byte_name(std::int32_t token) {
  if (token == '\n') return "line end";
  if (token == ' ') return "space";
  if (token > ' ' && token < 0x7f) return fmt::format("'{}'", static_cast<char>(token));
  return fmt::format("\\x{:02x}", token);
}

// The code point of a valid sequence.
std::uint32_t code_point(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return first;
  std::uint32_t code = first & (0x7fU >> character.size());
  for (const char byte : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3fU);
  return code;
}

// What browsers would not show, or take for a command about the order of what follows.
bool is_hidden(std::uint32_t code) {
  return (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

std::string mark(const std::string& text) { return "<i class=\"mark\">" + text + "</i>"; }

// character: a valid sequence, or one byte that is none.
std::string shown(std::string_view character, bool valid) {
  const auto first = static_cast<unsigned char>(character.front());
  if (!valid) return mark(fmt::format("\\x{:02x}", first));
  if (first == '\n') return mark("↵") + "\n";
  if (first == '\t') return mark("→") + "\t";
  if (first < ' ') return mark(fmt::format("&#x24{:02x};", first));
  const std::uint32_t code = code_point(character);
  return is_hidden(code) ? mark(fmt::format("U+{:04X}", code)) : html_escaped(character);
}

}  // namespace

std::string text_body(const std::vector<ScoredToken>& tokens) {
  std::string bytes;
  for (const ScoredToken& token : tokens) bytes += static_cast<char>(token.token);
  std::string body = "<pre>";
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t valid = utf8_length(std::string_view(bytes).substr(at)), length = valid == 0 ? 1 : valid;
    double bits = 0;
    std::string words;
    for (std::size_t byte = at; byte < at + length; ++byte) {
      bits += tokens[byte].bits;
      if (length > 1) words += fmt::format("{}{}: ", byte > at ? "\n" : "", byte_name(tokens[byte].token));
      words += expectation(tokens[byte], byte_name);
    }
    if (length > 1) words = fmt::format("{:.2f} bits\n", bits) + words;
    body += fmt::format("<i class=\"{}\" title=\"{}\">{}</i>", colour_class(bits), html_escaped(words),
                        shown(std::string_view(bytes).substr(at, length), valid > 0));
    at += length;
  }
  return body + "</pre>\n";
}

}  // namespace longstride::program
