// Patterns as text: part { "|" part }, part = name [ "(" number { "," number } ")" ], blanks anywhere between.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "longstride/error.h"
#include "longstride/pattern.h"
#include "pattern/parts.h"

namespace longstride {

namespace {

struct Name {
  std::string_view text;
  int least, most;         // numbers that it takes
  std::string_view usage;  // for messages
};

constexpr std::array<Name, 11> kNames = {{
    {"dense", 0, 0, "dense"},
    {"window", 1, 1, "window(w)"},
    {"local", 1, 1, "local(l)"},
    {"column", 1, 1, "column(l)"},
    {"strided", 1, 1, "strided(l)"},
    {"row", 1, 1, "row(l)"},
    {"summary", 2, 3, "summary(l,c) or summary(l,c,o)"},
    {"fixed", 2, 2, "fixed(l,c)"},
    {"previous_row", 1, 1, "previous_row(l)"},
    {"prefix", 1, 1, "prefix(p)"},
    {"digits", 2, 2, "digits(l,m)"},
}};

// Edits (insert, drop, change a letter) from one word to the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t y = 0; y <= b.size(); ++y) row[y] = y;
  for (std::size_t x = 0; x < a.size(); ++x) {
    std::size_t diagonal = std::exchange(row[0], x + 1);
    for (std::size_t y = 0; y < b.size(); ++y) {
      const std::size_t changed = diagonal + (a[x] != b[y]);
      diagonal = row[y + 1];
      row[y + 1] = std::min({changed, row[y] + 1, diagonal + 1});
    }
  }
  return row.back();
}

struct Number {
  std::int64_t value = 0;
  std::size_t at = 0;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Pattern pattern() {
    Pattern pattern;
    do {
      blanks();
      const std::size_t start = at_;
      part(pattern);
      if (pattern.parts.size() > kMaxParts) fail(start, fmt::format("a pattern has at most {} parts", kMaxParts));
      blanks();
    } while (take('|'));
    if (at_ < text_.size()) fail(at_, fmt::format("needs \"|\" or the end, got \"{}\"", text_[at_]));
    return pattern;
  }

 private:
  // Throws a sentence with the text and the place: the snippet has a bar before the character at fault.
  [[noreturn]] void fail(std::size_t at, const std::string& what) const {
    constexpr std::size_t kAround = 24;
    const std::size_t begin = at > kAround ? at - kAround : 0;
    const std::string_view before = text_.substr(begin, at - begin), after = text_.substr(at, kAround);
    throw_invalid(fmt::format("pattern \"{}\": {} at column {}: {}{}|{}{}", text_, what, at + 1, begin > 0 ? "..." : "",
                              before, after, at + kAround < text_.size() ? "..." : ""));
  }

  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || (text_[at_] >= '\t' && text_[at_] <= '\r'))) ++at_;
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string found() const {
    return at_ < text_.size() ? fmt::format("\"{}\"", text_[at_]) : std::string("the end of the text");
  }

  const Name& name() {
    const std::size_t start = at_;
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    while (at_ < text_.size() && letter(text_[at_])) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    if (word.empty()) fail(start, fmt::format("needs the name of a pattern, got {}", found()));
    const Name* nearest = &kNames[0];
    for (const Name& known : kNames) {
      if (known.text == word) return known;
      if (distance(known.text, word) < distance(nearest->text, word)) nearest = &known;
    }
    fail(start, fmt::format("\"{}\" is no pattern (the nearest is {})", word, nearest->usage));
  }

  Number number(const Name& name) {
    blanks();
    Number number;
    number.at = at_;
    const auto digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
    if (!digit()) fail(at_, fmt::format("{} needs a whole number, got {}", name.usage, found()));
    for (; digit(); ++at_) {
      const int value = text_[at_] - '0';
      if (number.value > (std::numeric_limits<std::int64_t>::max() - value) / 10)
        fail(number.at, "the number is larger than 2^63 - 1");
      number.value = number.value * 10 + value;
    }
    return number;
  }

  std::vector<Number> numbers(const Name& name) {
    std::vector<Number> numbers;
    blanks();
    const std::size_t open = at_;
    if (!take('(')) {
      if (name.least > 0) fail(at_, fmt::format("{} needs \"(\", got {}", name.usage, found()));
      return numbers;
    }
    if (name.most == 0) fail(open, fmt::format("{} takes no numbers", name.usage));
    for (;;) {
      numbers.push_back(number(name));
      blanks();
      const int count = static_cast<int>(numbers.size());
      if (count >= name.least && take(')')) return numbers;
      if (count < name.most && take(',')) continue;
      const char* needs = count < name.least ? "\",\"" : count < name.most ? "\",\" or \")\"" : "\")\"";
      fail(at_, fmt::format("{} needs {}, got {}", name.usage, needs, found()));
    }
  }

  void part(Pattern& pattern) {
    const Name& name = this->name();
    const std::vector<Number> n = numbers(name);
    if (name.text == "dense") {
      add(pattern, {Primitive::dense}, n);
    } else if (name.text == "window") {
      add(pattern, {Primitive::window, n[0].value}, n);
    } else if (name.text == "local" || name.text == "strided") {
      add(pattern, {Primitive::column, n[0].value}, n);  // for its range; replaced where it is local
      const Part column = pattern.parts.back();
      if (n[0].value == std::numeric_limits<std::int64_t>::max()) fail(n[0].at, "the number is larger than 2^63 - 2");
      pattern.parts.back() = {Primitive::window, n[0].value + 1};
      if (name.text == "strided") pattern.parts.push_back(column);
    } else if (name.text == "column") {
      add(pattern, {Primitive::column, n[0].value}, n);
    } else if (name.text == "row") {
      add(pattern, {Primitive::row, n[0].value}, n);
    } else if (name.text == "previous_row") {
      add(pattern, {Primitive::previous_row, n[0].value}, n);
    } else if (name.text == "prefix") {
      add(pattern, {Primitive::prefix, n[0].value}, n);
    } else if (name.text == "digits") {
      add(pattern, {Primitive::digits, n[0].value, n[1].value}, n);
    } else if (name.text == "summary") {
      add(pattern, {Primitive::summary, n[0].value, n[1].value, n.size() > 2 ? n[2].value : 0}, n);
    } else {  // fixed
      add(pattern, {Primitive::row, n[0].value}, n);
      add(pattern, {Primitive::summary, n[0].value, n[1].value, 0, true}, n);
    }
  }

  void add(Pattern& pattern, const Part& part, const std::vector<Number>& numbers) {
    int argument = 0;
    const std::string sentence = fault(part, argument);
    if (!sentence.empty()) fail(numbers[argument].at, sentence);
    pattern.parts.push_back(part);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// window(w) is local(w - 1): the one whose number is even, so that both local(128) and window(128) come back.
std::string window_text(std::int64_t w) {
  return w > 1 && w % 2 == 1 ? fmt::format("local({})", w - 1) : fmt::format("window({})", w);
}

std::string text_of(const Part& part) {
  switch (part.primitive) {
    case Primitive::dense:
      return "dense";
    case Primitive::window:
      return window_text(part.length);
    case Primitive::column:
      return fmt::format("column({})", part.length);
    case Primitive::row:
      return fmt::format("row({})", part.length);
    case Primitive::previous_row:
      return fmt::format("previous_row({})", part.length);
    case Primitive::prefix:
      return fmt::format("prefix({})", part.length);
    case Primitive::digits:
      return fmt::format("digits({},{})", part.length, part.cells);
    case Primitive::summary:
      if (part.block == 0) return fmt::format("summary({},{})", part.length, part.cells);
      return fmt::format("summary({},{},{})", part.length, part.cells, part.block);
  }
  return {};
}

}  // namespace

Pattern parse_pattern(std::string_view text) { return Parser(text).pattern(); }

std::string to_string(const Pattern& pattern) {
  std::string text;
  for (std::size_t p = 0; p < pattern.parts.size(); ++p) {
    const Part& part = pattern.parts[p];
    const Part next = p + 1 < pattern.parts.size() ? pattern.parts[p + 1] : Part{};
    if (p > 0) text += " | ";
    if (part.primitive == Primitive::window && next.primitive == Primitive::column && part.length - 1 == next.length) {
      text += fmt::format("strided({})", next.length);
      ++p;
    } else if (part.primitive == Primitive::row && next.primitive == Primitive::summary && next.spread &&
               part.length == next.length) {
      text += fmt::format("fixed({},{})", next.length, next.cells);
      ++p;
    } else {
      text += text_of(part);
    }
  }
  return text;
}

}  // namespace longstride
