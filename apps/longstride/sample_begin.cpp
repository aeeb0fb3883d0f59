// This reads what samples begin with, and says what is wrong with it.
#include "sample_begin.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "longstride/error.h"
#include "longstride/file.h"
#include "longstride/sound.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::string_view kStandardInput = "-";
constexpr std::int64_t kDefaultBytes = 256;               // of text
constexpr double kDefaultSeconds = 10;                    // of sound
constexpr double kMostTokens = 1e15, kMostSeconds = 1e9;  // so that no count leaves 64 bits
constexpr double kRounding = 1e-9;                        // so that 0.29 of 100 rows are 29

// "0.5", "2000", or for sound "5s".
struct Amount {
  double number = 0;
  bool seconds = false;
};

std::optional<Amount> parse_amount(const std::string& word) {
  Amount amount;
  amount.seconds = word.ends_with('s');
  const char* end = word.data() + word.size() - (amount.seconds ? 1 : 0);
  const std::from_chars_result read = std::from_chars(word.data(), end, amount.number);
  const double most = amount.seconds ? kMostSeconds : kMostTokens;
  const bool whole = read.ec == std::errc() && read.ptr == end;
  return whole && amount.number >= 0 && amount.number <= most ? std::optional(amount) : std::nullopt;
}

std::int64_t tokens_of(double seconds, const DataConfig& data) {
  return std::llround(seconds * static_cast<double>(data.sample_rate));
}

// The share of a text or a picture that is kept.
double kept_share(const std::string& keep, double without, bool all_allowed) {
  if (keep.empty()) return without;
  const std::optional<Amount> amount = parse_amount(keep);
  const bool share = amount && !amount->seconds && (all_allowed ? amount->number <= 1 : amount->number < 1);
  if (!share) throw_invalid(fmt::format("--keep: needs a share in [0, 1{}, got \"{}\"", all_allowed ? "]" : ")", keep));
  return amount->number;
}

std::int64_t part_of(double share, std::size_t whole) {
  return static_cast<std::int64_t>(std::floor(share * static_cast<double>(whole) + kRounding));
}

std::vector<std::uint8_t> begin_text(const BeginOptions& options) {
  const std::string text = options.standard_input ? *options.standard_input : read_text(options.prime);
  if (text.empty() && !options.standard_input) throw_invalid(fmt::format("\"{}\" is empty", options.prime));
  if (const std::string media = media_words(text); !media.empty())
    throw_invalid(fmt::format("--prime: \"{}\" is {}, and the model has learned from text", options.prime, media));
  return {text.begin(), text.begin() + part_of(kept_share(options.keep, 1, true), text.size())};
}

Beginning begin_picture(const BeginOptions& options, const DataConfig& data) {
  const double share = kept_share(options.keep, 0.5, false);
  Beginning beginning;
  beginning.original = read_picture(options.prime, data);
  const Image& image = *beginning.original;
  const std::int64_t rows = part_of(share, static_cast<std::size_t>(image.height));
  beginning.prompts.emplace_back(image.bytes.begin(), image.bytes.begin() + rows * image.width * image.channels);
  return beginning;
}

std::vector<std::uint8_t> begin_sound(const BeginOptions& options, const DataConfig& data) {
  const std::optional<Amount> amount = options.keep.empty() ? Amount{1, false} : parse_amount(options.keep);
  if (!amount || (!amount->seconds && amount->number > 1)) {
    throw_invalid(fmt::format("--keep: needs a share in [0, 1] or seconds, such as 5s, got \"{}\"", options.keep));
  }
  if (!amount->seconds) {
    std::vector<std::uint8_t> tokens = read_sound(options.prime, data);
    tokens.resize(static_cast<std::size_t>(part_of(amount->number, tokens.size())));
    return tokens;
  }
  const std::int64_t needed = tokens_of(amount->number, data);
  std::vector<std::uint8_t> tokens = read_sound(options.prime, data, needed);
  if (static_cast<std::int64_t>(tokens.size()) < needed) {
    throw_invalid(fmt::format("--keep: \"{}\" lasts {:.3g} s, got {}", options.prime,
                              static_cast<double>(tokens.size()) / static_cast<double>(data.sample_rate),
                              options.keep));
  }
  return tokens;
}

Beginning begin_with_file(const BeginOptions& options, const DataConfig& data) {
  if (data.kind == "image") return begin_picture(options, data);
  return {{data.kind == "sound" ? begin_sound(options, data) : begin_text(options)}, std::nullopt};
}

void check_tokens(const std::string& file, const std::vector<std::uint8_t>& tokens, std::int64_t vocabulary) {
  const auto foreign = std::find_if(tokens.begin(), tokens.end(), [&](std::uint8_t t) { return t >= vocabulary; });
  if (foreign == tokens.end()) return;
  throw_invalid(fmt::format("--prime: \"{}\": token {} at {} is outside the model's vocabulary of {}", file, *foreign,
                            foreign - tokens.begin(), vocabulary));
}

}  // namespace

void add_begin_options(CommandLine app, BeginOptions& options) {
  app.add_option("--tokens", options.tokens,
                 "New tokens, or seconds of sound, such as 30s (default: 256 bytes of text, a whole picture, 10s)")
      .type_name("N");
  app.add_option("--prime", options.prime,
                 "Begin with a file: a text (- is standard input), a picture or a recording, as the model has learned")
      .type_name("FILE");
  app.add_option(
         "--keep", options.keep,
         "How much of --prime is kept: a share (default 1; of a picture the top 0.5), or of sound seconds, such "
         "as 5s")
      .type_name("SHARE");
  app.add_option("--prompt", options.prompts, "Begin with a text; given several times, samples take them in turn")
      .type_name("TEXT")
      .one_value_each_time();
}

void read_standard_input(BeginOptions& options, const Launched& launched) {
  if (options.prime != kStandardInput) return;
  options.standard_input = launched.rank == 0 ? read_text("/dev/stdin") : "";
  if (launched.size > 1) options.standard_input = gather(*launched.world, *options.standard_input).front();
}

Beginning read_beginning(const BeginOptions& options, const Config& config) {
  const DataConfig& data = config.data;
  const bool text = is_text(data);
  if (!options.prime.empty() && !options.prompts.empty()) {
    throw_invalid("--prime and --prompt: a sample begins with one of them, got both");
  }
  if (!options.prompts.empty() && !text) {
    throw_invalid(fmt::format("--prompt: the model has learned from {}; begin with --prime FILE", kind_words(data)));
  }
  if (options.prime.empty()) {
    if (!options.keep.empty()) throw_invalid("--keep: says how much of --prime FILE is kept; give that too");
    Beginning beginning;
    for (const std::string& prompt : options.prompts) beginning.prompts.emplace_back(prompt.begin(), prompt.end());
    return beginning;
  }
  Beginning beginning = begin_with_file(options, data);
  check_tokens(options.prime, beginning.prompts.front(), config.model.vocabulary);
  return beginning;
}

std::int64_t new_tokens(const BeginOptions& options, const DataConfig& data, const Beginning& beginning) {
  const std::int64_t picture =
      data.kind == "image" ? static_cast<std::int64_t>(token_picture(data, {}).bytes.size()) : 0;
  const std::size_t given = beginning.prompts.empty() ? 0 : beginning.prompts.front().size();
  const std::int64_t rest = picture - static_cast<std::int64_t>(given);
  if (options.tokens.empty()) {
    if (picture > 0) return rest;
    return data.kind == "sound" ? tokens_of(kDefaultSeconds, data) : kDefaultBytes;
  }
  const std::optional<Amount> amount = parse_amount(options.tokens);
  if (amount && amount->seconds && data.kind == "sound") return tokens_of(amount->number, data);
  if (!amount || amount->seconds || amount->number != std::floor(amount->number)) {
    throw_invalid(fmt::format("--tokens: needs a whole number of at least 0{}, got {}",
                              data.kind == "sound" ? " or seconds, such as 30s" : "", options.tokens));
  }
  const auto tokens = static_cast<std::int64_t>(amount->number);
  if (picture > 0 && tokens > rest) {
    throw_invalid(fmt::format("--tokens: a picture has {}, of which {} are given; needs at most {}, got {}",
                              with_commas(picture), with_commas(picture - rest), with_commas(rest),
                              with_commas(tokens)));
  }
  return tokens;
}

}  // namespace longstride::program
