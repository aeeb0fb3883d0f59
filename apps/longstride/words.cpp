// This turns numbers, durations and models into words.
#include "words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "longstride/utf8.h"

namespace longstride::program {

std::string with_commas(std::int64_t number) {
  const std::string digits = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;  // of the digits
  std::string text;
  for (std::size_t at = 0; at < digits.size(); ++at) {
    if (at > first && (digits.size() - at) % 3 == 0) text += ',';
    text += digits[at];
  }
  return text;
}

std::string counted(std::int64_t count, const std::string& one) {
  return with_commas(count) + " " + one + (count == 1 ? "" : "s");
}

namespace {

std::string scaled(double number, const std::vector<const char*>& units) {
  std::size_t unit = 0;
  while (number >= 999.5 && unit + 1 < units.size()) {
    number /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", number, decimals, units[unit]);
}

// Length of the UTF-8 sequence at the front of `bytes`, or 0 where it is none or one that terminals obey: a control
// character of Latin-1, U+0080 to U+009F, or one that turns round what follows, U+202A to U+202E and U+2066 to U+2069.
std::size_t shown_length(std::string_view bytes) {
  const std::size_t length = utf8_length(bytes);
  const auto second_to_last = [&](std::string_view least, std::string_view most) {
    const std::string_view rest = bytes.substr(1, length - 1);
    return rest >= least && rest <= most;
  };
  const bool control = length == 2 && bytes[0] == '\xc2' && second_to_last("\x80", "\x9f");
  const bool turns = length == 3 && bytes[0] == '\xe2' &&
                     (second_to_last("\x80\xaa", "\x80\xae") || second_to_last("\x81\xa6", "\x81\xa9"));
  return control || turns ? 0 : length;
}

}  // namespace

std::string bytes_words(std::int64_t bytes) {
  return scaled(static_cast<double>(bytes), {" bytes", " kB", " MB", " GB", " TB", " PB", " EB"});
}

std::string part_words(const std::string& part) {
  std::string words = part;
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

std::string rate_words(double a_second) { return scaled(a_second, {"", "k", "M", "G", "T"}); }

std::string duration_words(double seconds) {
  if (!(seconds >= 0) || seconds > 1e12) return "unknown";
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 1) return "under 1 s";
  if (whole < 90) return fmt::format("{} s", whole);
  const std::int64_t minutes = (whole + 30) / 60;
  if (minutes < 90) return fmt::format("{} min", minutes);
  if (minutes < 48 * 60) return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
  return fmt::format("{} days {} h", with_commas(minutes / 60 / 24), minutes / 60 % 24);
}

std::string attention_words(const ModelConfig& model) {
  const std::string json = write_attention(model.attention);
  const bool bare = json.size() > 2 && json.front() == '"';
  return bare ? json.substr(1, json.size() - 2) : json;
}

std::string model_words(const ModelConfig& model) {
  return fmt::format("{} layer{}, width {}, {} head{}, context {}", model.layers, model.layers == 1 ? "" : "s",
                     model.width, model.heads, model.heads == 1 ? "" : "s", with_commas(model.context));
}

bool is_text(const DataConfig& data) { return data.kind != "image" && data.kind != "sound"; }

std::string kind_words(const DataConfig& data) {
  return is_text(data) ? "text" : data.kind == "image" ? "pictures" : "sound";
}

std::string processor_words(const MachineInfo& machine) {
  return fmt::format("{}, {}", machine.processor, counted(machine.threads, "thread"));
}

std::string instructions_words(const MachineInfo& machine) {
  return fmt::format("{}; in use: {}", fmt::join(machine.instruction_sets, ", "), machine.instruction_set);
}

std::string protocol_words(const Evaluation& result) {
  const std::string windows =
      result.kind == "image"
          ? fmt::format("{}, each one window of {}", counted(result.windows, "picture"), with_commas(result.context))
          : fmt::format("{} of {} with a minimum context of {}", counted(result.windows, "window"),
                        with_commas(result.context), with_commas(result.min_context));
  return fmt::format("{} of {} from offset {} on (sha256 {}); {}; {} at step {} (sha256 {}); {}; {}",
                     counted(result.tokens_scored, "byte"), result.data, with_commas(result.offset),
                     result.data_sha256.substr(0, 12), windows, result.checkpoint, with_commas(result.step),
                     result.checkpoint_sha256.substr(0, 12), result.precision, origin_words(result.origin));
}

std::string bits_unit(const DataConfig& data) { return data.kind == "image" ? "dim" : "byte"; }

std::string precision_words(const Plan& plan) {
  const std::string word = plan.precision == Precision::bfloat16 ? "bfloat16" : "float32";
  return word + ": " + plan.precision_reason;
}

namespace {

// The text with `shown(byte)` for every byte of a control character, those of `kept` aside.
template <typename Shown>
std::string replace_controls(std::string_view text, std::string_view kept, Shown shown) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = shown_length(text.substr(at));
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool ascii = length == 1 && (byte < 0x20 || byte == 0x7f) && kept.find(text[at]) == std::string_view::npos;
    if (length == 0 || ascii) {
      out += shown(byte);
      ++at;
    } else {
      out += text.substr(at, length);
      at += length;
    }
  }
  return out;
}

std::string hexadecimal(unsigned char byte) { return fmt::format("\\x{:02x}", byte); }

}  // namespace

std::string printable(const std::string& bytes) {
  return replace_controls(bytes, "\n\t", [](unsigned char) { return "."; });
}

std::string PrintableText::add(std::string_view bytes) {
  waiting_ += bytes;
  std::size_t whole = waiting_.size();
  const std::size_t first = whole > 3 ? whole - 3 : 0;  // a character that is not whole has at most 3 bytes
  for (std::size_t at = whole; at-- > first;) {
    const auto byte = static_cast<unsigned char>(waiting_[at]);
    if ((byte & 0xc0) == 0x80) continue;
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (at + length > waiting_.size()) whole = at;
    break;
  }
  const std::string shown = printable(waiting_.substr(0, whole));
  waiting_.erase(0, whole);
  return shown;
}

std::string PrintableText::rest() {
  const std::string shown = printable(waiting_);
  waiting_.clear();
  return shown;
}

std::string escaped(std::string_view sentence) { return replace_controls(sentence, "", hexadecimal); }

std::string escaped_lines(std::string_view lines) { return replace_controls(lines, "\n", hexadecimal); }

std::string message(const std::string& command, std::string_view sentence) {
  if (!command.empty())
    for (const std::string_view room : {"train: ", "evaluate: ", "sample: ", "attention: ", "doctor: "})
      if (sentence.starts_with(room)) return message(command, sentence.substr(room.size()));
  return "longstride" + (command.empty() ? "" : " " + command) + ": " + escaped(sentence);
}

std::string shell_word(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("/._-+,:@%=").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  const bool controls = escaped(word) != word;
  std::string quoted;
  for (const char c : word) {
    const char* instead = c == '\'' ? (controls ? "\\'" : "'\\''") : c == '\\' && controls ? "\\\\" : nullptr;
    quoted += instead != nullptr ? std::string(instead) : std::string(1, c);
  }
  return controls ? "$'" + escaped(quoted) + "'" : "'" + quoted + "'";
}

std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t widest = 0;
  for (const auto& row : rows) widest = std::max(widest, row.first.size());
  std::string text;
  for (const auto& [name, value] : rows) text += fmt::format("  {:<{}}  {}\n", name, widest, escaped(value));
  return text;
}

}  // namespace longstride::program
