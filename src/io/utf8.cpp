// This tells UTF-8 from other bytes, and writes those in a way that text can carry.
#include "io/utf8.h"

#include <fmt/format.h>

namespace longstride {
namespace {

// The text with `foreign(byte)` for each byte that is in no valid sequence.
template <typename Foreign>
std::string replace_foreign(std::string_view text, Foreign foreign) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += foreign(static_cast<unsigned char>(text[0]));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

// Of two hexadecimal digits in small letters; -1 where they are none.
int byte_of(std::string_view digits) {
  int value = 0;
  for (const char digit : digits) {
    const bool number = digit >= '0' && digit <= '9', letter = digit >= 'a' && digit <= 'f';
    if (!number && !letter) return -1;
    value = 16 * value + (number ? digit - '0' : digit - 'a' + 10);
  }
  return digits.size() == 2 ? value : -1;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                             : (first & 0xF0) == 0xE0         ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool outside = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                       (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return outside ? 0 : length;
}

std::string valid_utf8(std::string_view text) {
  return replace_foreign(text, [](unsigned char) { return "\xEF\xBF\xBD"; });  // U+FFFD
}

std::string json_of_path(std::string_view path) {
  return replace_foreign(path, [](unsigned char byte) { return fmt::format("{}{:02x}", '\0', byte); });
}

std::optional<std::string> path_of_json(std::string_view string) {
  std::string path;
  for (std::size_t at = 0; at < string.size(); ++at) {
    if (string[at] != '\0') {
      path += string[at];
      continue;
    }
    const int byte = byte_of(string.substr(at + 1, 2));
    if (byte < 0x80) return std::nullopt;  // none, or one that is UTF-8 by itself
    path += static_cast<char>(byte);
    at += 2;
  }
  return path;
}

std::string as_json_text(std::string_view text) {
  return replace_foreign(text, [](unsigned char byte) { return fmt::format("\\u0000{:02x}", byte); });
}

}  // namespace longstride
