// The nearest known word to one that is not known.
#include <algorithm>
#include <cctype>
#include <numeric>
#include <optional>
#include <string_view>

#include "model/config_fields.h"

namespace longstride {
namespace {

// Levenshtein's distance with neighbours exchanged counted as one (restricted Damerau), without regard to case.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto same = [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  };
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool equal = same(a[i - 1], b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (equal ? 0 : 1)});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

// "learning_rate" and "learning-rate" -> {"learning", "rate"}.
std::vector<std::string_view> parts_of(std::string_view word) {
  std::vector<std::string_view> parts;
  for (std::size_t end; (end = word.find_first_of("_-")) != std::string_view::npos; word.remove_prefix(end + 1))
    parts.push_back(word.substr(0, end));
  parts.push_back(word);
  return parts;
}

std::string initials_of(std::string_view word) {
  std::string initials;
  for (const std::string_view part : parts_of(word)) initials += part.substr(0, 1);
  return initials;
}

// As near as one mistake: the beginning of a known word ("warmup" for "warmup_steps"), its initials ("lr" for
// "learning_rate"), and the word itself among others ("batch_size" for "batch").
bool nearly(std::string_view word, std::string_view known) {
  constexpr std::size_t kFewestLetters = 3;
  if (word.size() >= kFewestLetters && known.starts_with(word) && known.size() > word.size()) return true;
  const std::vector<std::string_view> parts = parts_of(word);
  if (parts.size() > 1) return std::find(parts.begin(), parts.end(), known) != parts.end();
  return parts_of(known).size() > 1 && word == initials_of(known);
}

std::size_t distance(std::string_view word, std::string_view known) {
  return nearly(word, known) ? 1 : edit_distance(word, known);
}

std::string_view looked_at(const std::string& word) {
  constexpr std::size_t kMostLetters = 64;  // a longer word is no misspelling
  return {word.data(), std::min(word.size(), kMostLetters)};
}

std::string_view after_dot(std::string_view key) { return key.substr(key.rfind('.') + 1); }  // npos + 1 is 0

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& known) {
  const std::string_view looked = looked_at(word);
  return *std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
    return distance(looked, a) < distance(looked, b);
  });
}

std::optional<std::string> likely_word(const std::string& word, const std::vector<std::string>& known) {
  constexpr std::size_t kLettersAMistake = 3;
  if (known.empty()) return std::nullopt;
  const std::string nearest = nearest_word(word, known);
  const bool likely = distance(looked_at(word), nearest) <= std::max<std::size_t>(1, word.size() / kLettersAMistake);
  return likely ? std::optional(nearest) : std::nullopt;
}

std::string nearest_key(const std::string& key) {
  std::vector<std::string> whole, ends;
  for (const ConfigField& field : config_fields()) {
    whole.push_back(field.key);
    ends.emplace_back(after_dot(field.key));
  }
  const std::string by_whole = nearest_word(key, whole);
  const std::string end(after_dot(key));
  const std::string by_end = nearest_word(end, ends);
  // A wrong section counts as one mistake.
  if (distance(key, by_whole) <= distance(end, by_end) + 1) return by_whole;
  return whole[static_cast<std::size_t>(std::find(ends.begin(), ends.end(), by_end) - ends.begin())];
}

std::string nearest_name(const std::string& key, bool holds_keys) {
  static const std::vector<std::string> sections = {"model", "data", "training"};
  if (key.find('.') != std::string::npos) return nearest_key(key);
  return holds_keys ? nearest_word(key, sections) : likely_word(key, sections).value_or(nearest_key(key));
}

}  // namespace longstride
