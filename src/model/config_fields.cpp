// This is the table of configuration keys: each one's name, place, range and how it is written.
#include "model/config_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "io/utf8.h"
#include "longstride/error.h"
#include "ops/ops.h"

namespace longstride {
namespace {

using nlohmann::json;

// Sizes stay below these so that no product of the model's sizes leaves 64 bits (see check).
constexpr double kMostTokens = 1 << 30;
constexpr double kMostWidth = 1 << 16;
constexpr double kMostSteps = 1e12;
constexpr double kMostMinutes = 1e6;
constexpr double kSmallest = std::numeric_limits<double>::denorm_min();  // (0, x] is [kSmallest, x]
const double kBelowOne = std::nextafter(1.0, 0.0);                       // [0, 1) is [0, kBelowOne]

std::string range_words(double low, double high) {
  const std::string left = low == kSmallest ? "(0" : fmt::format("[{}", low);
  const std::string right = high == kBelowOne ? "1)" : fmt::format("{}]", high);
  return left + ", " + right;
}

std::int64_t whole_number(const json& value, double low, double high) {
  const auto fail = [&]() { throw fmt::format("a whole number in [{:.0f}, {:.0f}]", low, high); };
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 62) fail();
  if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (static_cast<double>(number) < low || static_cast<double>(number) > high) fail();
    return number;
  }
  // 1e4 is a whole number too.
  if (!value.is_number_float()) fail();
  const double number = value.get<double>();
  if (!(number >= low && number <= high && std::abs(number) <= 0x1p53 && number == std::floor(number))) fail();
  return static_cast<std::int64_t>(number);
}

double real_number(const json& value, double low, double high) {
  const double number = value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
  if (!(number >= low && number <= high)) throw fmt::format("a number in {}", range_words(low, high));
  // It is computed with in single precision, where 0 and 1 may mean something else than what lies beside them.
  const float single = static_cast<float>(number);
  const bool tiny = number != 0 && std::abs(single) < std::numeric_limits<float>::min();
  if (tiny || (high == kBelowOne && single >= 1)) {
    throw fmt::format("a number in {} that float32 tells from {}", range_words(low, high), tiny ? 0 : 1);
  }
  return number;
}

json shortest(double number) {  // 4, not 4.0
  const bool whole = number == std::floor(number) && std::abs(number) < 0x1p53;
  return whole ? json(static_cast<std::int64_t>(number)) : json(number);
}

template <class Section>
ConfigField whole(std::string key, Section Config::*section, std::int64_t Section::*member, double low, double high) {
  return {std::move(key),
          [=](Config& config, const json& value) { config.*section.*member = whole_number(value, low, high); },
          [=](const Config& config) { return json(config.*section.*member); }};
}

template <class Section>
ConfigField real(std::string key, Section Config::*section, double Section::*member, double low, double high) {
  return {std::move(key),
          [=](Config& config, const json& value) { config.*section.*member = real_number(value, low, high); },
          [=](const Config& config) { return shortest(config.*section.*member); }};
}

// A word for each value of an enumeration, in its order.
template <class Section, class Choice>
ConfigField word(std::string key, Section Config::*section, Choice Section::*member, std::vector<std::string> words) {
  const auto read = [=](Config& config, const json& value) {
    const auto found = std::find(words.begin(), words.end(), value.is_string() ? value.get<std::string>() : "");
    if (found == words.end()) throw fmt::format("one of {}", fmt::join(words, ", "));
    config.*section.*member = static_cast<Choice>(found - words.begin());
  };
  const auto write = [=](const Config& config) {
    return json(words.at(static_cast<std::size_t>(config.*section.*member)));
  };
  return {std::move(key), read, write};
}

ConfigField device_field() {
  const auto read = [](Config& config, const json& value) {
    const std::optional<Device> device = read_device(value.is_string() ? value.get<std::string>() : "");
    if (!device) throw std::string("one of auto, cpu, cuda, cuda:K");
    config.training.device = *device;
  };
  return {"training.device", read, [](const Config& config) { return json(to_string(config.training.device)); }};
}

template <class Section>
ConfigField sizes(std::string key, Section Config::*section, std::vector<std::int64_t> Section::*member,
                  std::size_t fewest, std::size_t most, double high) {
  const auto read = [=](Config& config, const json& value) {
    std::vector<std::int64_t> list;
    bool fits = value.is_array() && (value.empty() ? fewest == 0 : value.size() >= fewest && value.size() <= most);
    try {
      if (fits)
        for (const json& item : value) list.push_back(whole_number(item, 1, high));
    } catch (const std::string&) {
      fits = false;
    }
    const std::string count = fewest == most ? fmt::format("{}", most) : fmt::format("{} to {}", fewest, most);
    if (!fits) throw fmt::format("a list of {} whole numbers in [1, {:.0f}]", count, high);
    config.*section.*member = list;
  };
  return {std::move(key), read, [=](const Config& config) { return json(config.*section.*member); }};
}

ConfigField attention_field() {
  return {"model.attention",
          [](Config& config, const json& value) { config.model.attention = attention_from_json(value); },
          [](const Config& config) { return attention_to_json(config.model.attention); }};
}

std::string read_path(const json& value, const std::string& needs) {
  const auto path = value.is_string() ? path_of_json(value.get_ref<const std::string&>()) : std::nullopt;
  if (!path) throw needs;
  return *path;
}

ConfigField kind_field() {
  const auto read = [](Config& config, const json& value) {
    const std::string kind = value.is_string() ? value.get<std::string>() : "?";
    if (kind != "" && kind != "text" && kind != "image" && kind != "sound") throw std::string("text, image or sound");
    config.data.kind = kind;
  };
  return {"data.kind", read, [](const Config& config) { return json(config.data.kind); }};
}

ConfigField paths_field() {
  const auto read = [](Config& config, const json& value) {
    const std::string needs = "a path or a list of paths";
    const json list = value.is_string() ? json::array({value}) : value;
    if (!list.is_array()) throw needs;
    std::vector<std::string> paths;
    for (const json& item : list) {
      paths.push_back(read_path(item, needs));
      if (paths.back().empty()) throw needs;
    }
    config.data.paths = paths;
  };
  const auto write = [](const Config& config) {
    json list = json::array();
    for (const std::string& path : config.data.paths) list.push_back(json_of_path(path));
    return list;
  };
  return {"data.paths", read, write};
}

ConfigField split_field() {
  const auto read = [](Config& config, const json& value) {
    const std::string needs = "three shares (train, valid, test) in [0, 1] that sum to 1";
    std::vector<double> shares;
    if (!value.is_array() || value.size() != 3) throw needs;
    for (const json& item : value) shares.push_back(item.is_number() ? item.get<double>() : -1.0);
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    const bool fits = std::all_of(shares.begin(), shares.end(), [](double s) { return s >= 0; });
    if (!fits || !(std::abs(sum - 1) <= 1e-6)) throw needs;
    config.data.split = shares;
  };
  const auto write = [](const Config& config) {
    json list = json::array();
    for (const double share : config.data.split) list.push_back(shortest(share));
    return list;
  };
  return {"data.split", read, write};
}

ConfigField channels_field() {
  const auto read = [](Config& config, const json& value) {
    const std::int64_t channels = value.is_number_integer() ? value.get<std::int64_t>() : -1;
    if (channels != 0 && channels != 1 && channels != 3) throw std::string("1 (grey), 3 (RGB) or 0 (the files' own)");
    config.data.channels = channels;
  };
  return {"data.channels", read, [](const Config& config) { return json(config.data.channels); }};
}

ConfigField cache_field() {
  const auto read = [](Config& config, const json& value) { config.data.cache = read_path(value, "a folder"); };
  return {"data.cache", read, [](const Config& config) { return json(json_of_path(config.data.cache)); }};
}

ConfigField init_field() {
  const auto read = [](Config& config, const json& value) { config.training.init = read_path(value, "a run"); };
  return {"training.init", read, [](const Config& config) { return json(json_of_path(config.training.init)); }};
}

ConfigField init_sha256_field() {
  const auto read = [](Config& config, const json& value) {
    const std::string digits = value.is_string() ? value.get<std::string>() : "?";
    const bool hash = digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!digits.empty() && !hash) throw std::string("64 hexadecimal digits");
    config.training.init_sha256 = digits;
  };
  return {"training.init_sha256", read, [](const Config& config) { return json(config.training.init_sha256); }};
}

ConfigField warmup_field() {
  const auto read = [](Config& config, const json& value) {
    try {
      const bool automatic = value.is_string() && value.get_ref<const std::string&>() == "auto";
      config.training.warmup_steps = automatic ? TrainingConfig::kAutomaticWarmup : whole_number(value, 0, kMostSteps);
    } catch (const std::string& needs) {
      throw needs + " or auto";
    }
  };
  const auto write = [](const Config& config) {
    const std::int64_t steps = config.training.warmup_steps;
    return steps == TrainingConfig::kAutomaticWarmup ? json("auto") : json(steps);
  };
  return {"training.warmup_steps", read, write};
}

std::vector<ConfigField> make_fields() {
  const auto model = &Config::model;
  const auto data = &Config::data;
  const auto training = &Config::training;
  using M = ModelConfig;
  using T = TrainingConfig;
  return {
      whole("model.vocabulary", model, &M::vocabulary, 2, 65536),
      whole("model.context", model, &M::context, 1, kMostTokens),
      whole("model.layers", model, &M::layers, 1, 4096),
      whole("model.width", model, &M::width, 1, kMostWidth),
      whole("model.heads", model, &M::heads, 1, kMostWidth),
      real("model.feedforward", model, &M::feedforward, kSmallest, 64),
      real("model.query_key", model, &M::query_key, kSmallest, 64),
      real("model.dropout", model, &M::dropout, 0, kBelowOne),
      attention_field(),
      sizes("model.positions", model, &M::positions, 1, 4, kMostTokens),
      sizes("model.hash_orders", model, &M::hash_orders, 0, kMaxHashEmbeddings, 16),
      whole("model.hash_buckets", model, &M::hash_buckets, 1, 1 << 24),
      whole("model.convolution", model, &M::convolution, 0, 1024),
      word("model.initialisation", model, &M::initialisation, {"variance", "paper", "gpt2"}),
      kind_field(),
      paths_field(),
      split_field(),
      sizes("data.image_size", data, &DataConfig::image_size, 0, 2, 65536),
      channels_field(),
      whole("data.sample_rate", data, &DataConfig::sample_rate, 1, 768000),
      real("data.gain", data, &DataConfig::gain, -120, 120),
      word("data.unreadable", data, &DataConfig::unreadable, {"error", "skip"}),
      cache_field(),
      whole("training.steps", training, &T::steps, 0, kMostSteps),
      real("training.minutes", training, &T::minutes, 0, kMostMinutes),
      whole("training.batch", training, &T::batch, 1, 65536),
      whole("training.accumulate", training, &T::accumulate, 1, 65536),
      whole("training.lanes", training, &T::lanes, 1, 65536),
      real("training.learning_rate", training, &T::learning_rate, 0, 100),
      warmup_field(),
      real("training.final_rate", training, &T::final_rate, 0, 1),
      real("training.weight_decay", training, &T::weight_decay, 0, 100),
      real("training.beta1", training, &T::beta1, 0, kBelowOne),
      real("training.beta2", training, &T::beta2, 0, kBelowOne),
      real("training.epsilon", training, &T::epsilon, kSmallest, 1),
      real("training.clip", training, &T::clip, 0, 1e9),
      real("training.ema", training, &T::ema, 0, kBelowOne),
      whole("training.patience", training, &T::patience, 0, 1e6),
      init_field(),
      init_sha256_field(),
      whole("training.seed", training, &T::seed, 0, 0x1p62),
      whole("training.threads", training, &T::threads, 0, 4096),
      device_field(),
      word("training.precision", training, &T::precision, {"auto", "float32", "bfloat16"}),
      word("training.recompute", training, &T::recompute, {"auto", "none", "block"}),
      real("training.checkpoint_minutes", training, &T::checkpoint_minutes, 0, kMostMinutes),
      whole("training.keep", training, &T::keep, 1, 1e6),
      real("training.validate_minutes", training, &T::validate_minutes, 0, kMostMinutes),
      real("training.sample_minutes", training, &T::sample_minutes, 0, kMostMinutes),
  };
}

}  // namespace

const std::vector<ConfigField>& config_fields() {
  static const std::vector<ConfigField> fields = make_fields();
  return fields;
}

const ConfigField* find_field(const std::string& key) {
  for (const ConfigField& field : config_fields()) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

std::string value_words(const json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return fmt::format("{}", value.get<double>());
  constexpr std::size_t kMostWords = 60;
  std::string words = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (words.size() > kMostWords) words = words.substr(0, kMostWords) + "...";
  return words;
}

}  // namespace longstride
