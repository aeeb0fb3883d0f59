// This walks a text by the grammar of JSON until the first place that is none, and parses configurations.
#include "model/json_fault.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "io/utf8.h"
#include "longstride/error.h"
#include "model/config_fields.h"

namespace longstride {
namespace {

using nlohmann::json;

// Walks a text. Each function reads one thing from at_ on and throws the fault that it meets.
class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}

  void whole() {
    constexpr std::string_view kMark = "\xef\xbb\xbf";  // of UTF-8, which some editors write
    at_ = text_.starts_with(kMark) ? kMark.size() : 0;
    skip();
    value(0);
    skip();
    if (!ended()) fail(at_, fmt::format("nothing may follow the end of what was begun, got {}", here()));
  }

 private:
  bool ended() const { return at_ == text_.size(); }
  char next() const { return ended() ? '\0' : text_[at_]; }
  [[noreturn]] static void fail(std::size_t at, const std::string& words) { throw JsonFault{at, words}; }

  // The word or the sign that stands at at_, as messages show it.
  std::string here() const {
    constexpr std::size_t kMostWords = 40;
    if (ended()) return "the end of the text";
    std::size_t end = at_;
    while (end < text_.size() && is_of_word(text_[end])) ++end;
    return value_words(json(std::string(text_.substr(at_, std::clamp<std::size_t>(end - at_, 1, kMostWords)))));
  }

  static bool is_of_word(char letter) {
    return std::isspace(static_cast<unsigned char>(letter)) == 0 &&
           std::string_view("{}[]:,\"").find(letter) == std::string_view::npos;
  }

  // Blanks and comments.
  void skip() {
    for (;;) {
      while (!ended() && std::string_view(" \t\r\n").find(next()) != std::string_view::npos) ++at_;
      const std::string_view rest = text_.substr(at_);
      if (rest.starts_with("//")) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (rest.starts_with("/*")) {
        const std::size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) fail(at_, "the comment that begins here has no end");
        at_ = end + 2;
      } else {
        return;
      }
    }
  }

  void value(int depth) {
    if (depth > kMostDepth) fail(at_, "");
    if (ended()) fail(at_, "the text ends where a value is needed");
    if (next() == '{' || next() == '[') return items(depth);
    if (next() == '"') return string();
    std::size_t end = at_;
    while (end < text_.size() && is_of_word(text_[end])) ++end;
    const std::string word(text_.substr(at_, end - at_));
    if (word.empty()) fail(at_, fmt::format("a value is missing before {}", here()));
    const std::string known_part = word.substr(0, word.find('/'));  // a comment may follow at once
    if (!json::accept(known_part))
      fail(at_,
           fmt::format("{} is no value; texts need quotation marks, numbers are like -1, 0.5 or 1e-3, and the only "
                       "words are true, false and null",
                       here()));
    at_ += known_part.size();
  }

  // What stands between braces or brackets.
  void items(int depth) {
    const std::size_t begin = at_;
    const bool object = text_[at_++] == '{';
    const char close = object ? '}' : ']';
    for (bool first = true;; first = false) {
      skip();
      if (ended()) unclosed(begin);
      if (next() == close && !first) fail(comma_, fmt::format("the comma before {} is one too many", close));
      if (next() == close) break;
      if (object) key();
      value(depth + 1);
      skip();
      if (ended()) unclosed(begin);
      if (next() == close) break;
      if (next() != ',') fail(at_, fmt::format("a comma or {} is missing before {}", close, here()));
      comma_ = at_++;
    }
    ++at_;
  }

  [[noreturn]] void unclosed(std::size_t begin) {
    fail(begin, fmt::format("the text ends before the {} that stands here is closed", text_[begin]));
  }

  // A key with its colon.
  void key() {
    if (next() != '"') fail(at_, fmt::format("a key in quotation marks is needed, got {}", here()));
    string();
    skip();
    if (next() != ':') fail(at_, fmt::format("a colon is missing before {}", here()));
    ++at_;
    skip();
  }

  void string() {
    const std::size_t begin = at_++;
    for (; !ended() && next() != '"' && next() != '\n'; ++at_) {
      if (static_cast<unsigned char>(next()) < 0x20)
        fail(at_, fmt::format("a text may not hold the control character U+{:04X} as it is; write \\u{:04x}",
                              static_cast<unsigned>(next()), static_cast<unsigned>(next())));
      if (next() == '\\') escape();
    }
    if (next() != '"') fail(begin, "the text that begins here has no closing quotation mark on its line");
    ++at_;
  }

  // From the backslash to the last character of what it begins.
  void escape() {
    const std::size_t begin = at_++;
    const auto hexadecimal = [](char letter) { return std::isxdigit(static_cast<unsigned char>(letter)) != 0; };
    if (next() == 'u') {
      const std::string_view digits = text_.substr(at_ + 1, 4);
      if (digits.size() == 4 && std::all_of(digits.begin(), digits.end(), hexadecimal)) {
        at_ += 4;
        return;
      }
    } else if (!ended() && std::string_view("\"\\/bfnrt").find(next()) != std::string_view::npos) {
      return;
    }
    fail(begin,
         "a backslash begins \\\", \\\\, \\/, \\b, \\f, \\n, \\r, \\t or \\u with four hexadecimal digits; one that "
         "stands for itself is written twice");
  }

  std::string_view text_;
  std::size_t at_ = 0, comma_ = 0;  // where it stands; the last comma
};

// "line 3, column 5": of a byte, columns counted in bytes.
std::string place_words(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t begin = before.rfind('\n') + 1;  // npos + 1 is 0
  return fmt::format("line {}, column {}", line, at - begin + 1);
}

}  // namespace

std::optional<JsonFault> find_json_fault(std::string_view text) {
  try {
    Walk(text).whole();
  } catch (const JsonFault& fault) {
    if (!fault.words.empty()) return fault;
  }
  return std::nullopt;
}

json parse_json(const std::string& text, const std::string& source) {
  const std::string coded = as_json_text(text);
  if (const std::size_t zero = coded.find('\0'); zero != std::string::npos)  // the parser takes it for the end
    throw_invalid(fmt::format("{} is not valid JSON: {}: a byte 0 stands there", source, place_words(coded, zero)));
  try {
    return json::parse(coded, watch_parse(source), true, true);
  } catch (const json::parse_error& error) {
    if (text.find_first_not_of(" \t\r\n") == std::string::npos)
      throw_invalid(
          fmt::format("{} is empty; needs an object with keys, such as {{\"training\": {{\"steps\": 100}}}}", source));
    const std::optional<JsonFault> fault = find_json_fault(coded);
    const std::size_t byte = std::min(error.byte > 0 ? error.byte - 1 : 0, coded.size());
    throw_invalid(fmt::format("{} is not valid JSON: {}: {}", source, place_words(coded, fault ? fault->at : byte),
                              fault ? fault->words : "what stands here is none"));
  } catch (const json::exception&) {
    throw_invalid(fmt::format("{} is not valid JSON: a number is beyond what can be read", source));
  }
}

}  // namespace longstride
