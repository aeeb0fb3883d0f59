// This writes what single bytes cost.
#include "per_byte.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "longstride/error.h"
#include "longstride/file.h"
#include "output.h"
#include "output_file.h"
#include "page.h"
#include "words.h"

namespace longstride::program {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kExpected = 3, kMostExpected = 256;
constexpr std::size_t kLinesAtOnce = std::size_t{1} << 16;  // of lines, printed together

// A byte as text where it is a character by itself.
ordered_json text_of(std::int32_t token) {
  return token < 0x80 ? ordered_json(std::string(1, static_cast<char>(token))) : ordered_json();
}

ordered_json line_of(const ScoredToken& token, bool text) {
  ordered_json line = {{"at", token.at}, {"byte", token.token}};
  if (text) line["text"] = text_of(token.token);
  line["bits"] = token.bits;
  line["expected"] = ordered_json::array();
  for (const LikelyToken& likely : token.expected) {
    ordered_json one = {{"byte", likely.token}};
    if (text) one["text"] = text_of(likely.token);
    one["probability"] = likely.probability;
    line["expected"].push_back(one);
  }
  return line;
}

}  // namespace

void add_per_byte_options(CommandLine app, PerByteOptions& options) {
  app.add_flag("--per-byte", options.lines,
               "A line of JSON for every byte: its bits and what was expected; the last line is the whole evaluation");
  app.add_option("--page", options.page,
                 "Write a page for browsers that shows every byte in the colour of its bits, a picture or a recording "
                 "too, and what was expected; - is standard output")
      .type_name("FILE.html");
  app.add_option("--expected", options.expected,
                 fmt::format("How many of the likeliest bytes --per-byte and --page tell (default {})", kExpected))
      .type_name("K");
}

bool PerByteOptions::takes_output() const { return lines || is_standard_output(page); }

PerByte::PerByte(const PerByteOptions& options, const DataConfig& data, EvaluateOptions& evaluation)
    : options_(options), data_(data) {
  if (!options.any()) {
    if (options.expected) throw_invalid("--expected: is for --per-byte and --page; give one of them too");
    return;
  }
  evaluation.expected = options.expected.value_or(kExpected);
  if (evaluation.expected < 0 || evaluation.expected > kMostExpected) {
    throw_invalid(
        fmt::format("--expected: needs a whole number in [0, {}], got {}", kMostExpected, evaluation.expected));
  }
  if (options.lines && is_standard_output(options.page))
    throw_invalid(fmt::format("--per-byte and --page {}: one of them can be on standard output; name another file",
                              options.page));
  if (options.page != kStandardOutput)
    check_output("--page", options.page, FileForm::page, evaluation.paths, evaluation.run);
  if (!options.page.empty()) fit_page(evaluation);
  evaluation.scored = [this](const ScoredToken& token) { take(token); };
}

void PerByte::fit_page(EvaluateOptions& evaluation) {
  const std::vector<std::int64_t>& size = data_.image_size;
  const std::int64_t unit = data_.kind == "image" && size.size() == 2 ? size[0] * size[1] * data_.channels : 1;
  const std::int64_t most = std::max<std::int64_t>(1, kMostOnAPage / unit) * unit;
  if (evaluation.bytes > most) {
    throw_invalid(fmt::format("--page: shows at most {}, got --bytes {}; --offset shows others", counted(most, "byte"),
                              evaluation.bytes));
  }
  if (evaluation.bytes < 0) evaluation.bytes = cut_ = most;
}

void PerByte::take(const ScoredToken& token) {
  if (!options_.page.empty()) tokens_.push_back(token);
  if (!options_.lines) return;
  lines_ += json_text(line_of(token, is_text(data_)), -1) + "\n";
  if (lines_.size() < kLinesAtOnce) return;
  print(lines_);
  lines_.clear();
}

std::string PerByte::finish(const Evaluation& result, const ordered_json& whole) {
  if (options_.lines) print(lines_ + json_text(whole, -1) + "\n");
  if (options_.page.empty()) return "";
  const std::string page = page_html(tokens_, result, data_);
  const bool printed = options_.page == kStandardOutput;
  if (printed) {
    print(page);
  } else {
    write_file_atomically(options_.page, page);
  }
  const char* cut = result.tokens_scored == cut_ ? "; a page shows no more, --offset shows others" : "";
  return fmt::format("wrote {}: {}{}", printed ? "the page to standard output" : escaped(options_.page),
                     counted(result.tokens_scored, "byte"), cut);
}

}  // namespace longstride::program
