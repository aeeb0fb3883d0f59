// Reading and writing the configuration: layers of JSON, each key with the source it came from.
#include "longstride/config.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "io/utf8.h"
#include "io/words.h"
#include "longstride/error.h"
#include "model/config_fields.h"

namespace longstride {
namespace {

using nlohmann::json;

struct Setting {
  json value;
  std::string source;
};

using Settings = std::map<std::string, Setting>;

// The key of a value that lies alone inside objects: for {"modle": {"width": 3}} it is "modle.width".
std::string innermost(std::string key, json value) {
  while (value.is_object() && value.size() == 1) {
    key += "." + value.begin().key();
    value = json(value.begin().value());
  }
  return key;
}

// Puts the values below `object` into settings, over what is there.
void collect(const json& object, const std::string& prefix, const std::string& source, Settings& settings) {
  for (const auto& [name, value] : object.items()) {
    const std::string key = prefix + name;
    const bool section = prefix.empty() && (name == "model" || name == "data" || name == "training");
    if (section && value.is_object()) {
      collect(value, key + ".", source, settings);
    } else if (section) {
      throw_invalid(fmt::format("{}: needs an object with keys, got {} (from {})", key, value_words(value), source));
    } else if (find_field(key) != nullptr) {
      settings[key] = {value, source};
    } else {
      const std::string whole = innermost(key, value);
      throw_invalid(fmt::format("{}: no such key; the nearest is {} (from {})", whole,
                                nearest_name(whole, value.is_object()), source));
    }
  }
}

// "model.width=256" as an object of objects.
json parse_assignment(const std::string& assignment, const std::string& source) {
  const std::size_t sign = assignment.find('=');
  if (sign == std::string::npos || sign == 0) {
    throw_invalid(fmt::format("--set: needs key=value, such as model.width=256, got \"{}\"", assignment));
  }
  const std::string text = assignment.substr(sign + 1);
  std::string key = assignment.substr(0, sign);
  if (std::count(key.begin(), key.end(), '.') > kMostDepth)
    throw_invalid(fmt::format("{}: no such key (from {})", key, source));
  json value = json::value_t::discarded;
  if (text.find('\0') == std::string::npos)  // which the parser takes for the end
    value = json::parse(as_json_text(text), watch_parse(source), false, true);
  if (value.is_discarded() && !text.empty() && std::string_view("[{\"").find(text[0]) != std::string_view::npos) {
    const bool by_set = source == "--set";  // else by the option that stands for the key
    throw_invalid(fmt::format("{} {}: {} is not valid JSON; texts in a list need quotation marks: [\"a\", \"b\"]",
                              source, by_set ? assignment : text, by_set ? "what follows \"=\"" : "the value"));
  }
  if (value.is_discarded()) value = text;
  for (std::size_t dot; (dot = key.rfind('.')) != std::string::npos; key.resize(dot)) {
    value = json{{key.substr(dot + 1), value}};
  }
  return json{{key, value}};
}

void store(const Settings& settings, Config& config) {
  for (const auto& [key, setting] : settings) {
    try {
      find_field(key)->read(config, setting.value);
    } catch (const std::string& needs) {
      throw_invalid(
          fmt::format("{}: needs {}, got {} (from {})", key, needs, value_words(setting.value), setting.source));
    } catch (const Error& error) {  // a pattern's
      const std::string words = error.what();
      throw_invalid(fmt::format("{}{} (from {})", words.starts_with(key) ? "" : key + ": ", words, setting.source));
    }
  }
}

// Values that others hide are looked at too.
void require_types(const Settings& settings) {
  Config unused;
  store(settings, unused);
}

// Puts a layer over what is there. Its steps end the run, and put aside minutes of the layers below.
void put_over(const Settings& layer, Settings& settings) {
  if (layer.contains("training.steps")) settings.erase("training.minutes");
  for (const auto& [key, setting] : layer) settings[key] = setting;
}

// Where the values came from whose keys a sentence names: " (model.heads from --set, model.width by default)". Empty
// where nobody gave any of them.
std::string sources_of(const std::string& sentence, const Settings& settings) {
  std::vector<std::string> all;
  std::set<std::string> different;
  bool given = false;
  for (const ConfigField& field : config_fields()) {
    if (sentence.find(field.key) == std::string::npos) continue;
    const auto found = settings.find(field.key);
    given |= found != settings.end();
    const std::string source = found == settings.end() ? "by default" : "from " + found->second.source;
    all.push_back(field.key + " " + source);
    different.insert(source);
  }
  if (!given) return "";
  return different.size() == 1 ? fmt::format(" ({})", *different.begin()) : fmt::format(" ({})", fmt::join(all, ", "));
}

// Positions that came with the weights to begin with are theirs, and no advice makes more of them.
void check_context_of_weights(const Config& config, const Settings& settings) {
  const auto positions = settings.find("model.positions"), init = settings.find("training.init");
  if (config.training.init.empty() || positions == settings.end() || init == settings.end()) return;
  if (positions->second.source != init->second.source) return;
  std::int64_t most = 1;  // stops growing once it is enough
  for (const std::int64_t extent : config.model.positions) most *= most < config.model.context ? extent : 1;
  if (most >= config.model.context) return;
  throw_invalid(
      fmt::format("model.context: the weights of \"{}\" hold positions for contexts of up to {} tokens, got {}",
                  config.training.init, with_commas(most), with_commas(config.model.context)));
}

void check_together(const Config& config, const Settings& settings) {
  try {
    check_context_of_weights(config, settings);
    check(config);
  } catch (const Error& error) {
    throw Error(error.kind(), error.what() + sources_of(error.what(), settings));
  }
}

std::string on_one_line(const json& value) {
  if (!value.is_array()) return value.dump();
  std::string words;
  for (const json& item : value) words += (words.empty() ? "" : ", ") + on_one_line(item);
  return "[" + words + "]";
}

}  // namespace

json::parser_callback_t watch_parse(const std::string& source) {
  auto open = std::make_shared<std::vector<std::set<std::string>>>();
  return [open, source](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMostDepth) throw_invalid(fmt::format("{}: nested deeper than {} levels", source, kMostDepth));
    if (event == json::parse_event_t::object_start) open->emplace_back();
    if (event == json::parse_event_t::object_end) open->pop_back();
    if (event == json::parse_event_t::key && !open->back().insert(parsed.get<std::string>()).second) {
      throw_invalid(fmt::format("{}: the key comes twice (from {})", parsed.get<std::string>(), source));
    }
    return true;
  };
}

Config read_config(const std::vector<std::string>& texts, const std::vector<std::string>& sources,
                   const std::vector<std::string>& assignments, const std::vector<std::string>& assigned_by) {
  Settings settings;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string source = i < sources.size() ? sources[i] : "a configuration without a name";
    const json object = parse_json(texts[i], source);
    if (!object.is_object())
      throw_invalid(fmt::format("{}: needs an object with keys, got {}", source, value_words(object)));
    Settings layer;
    collect(object, "", source, layer);
    require_types(layer);
    put_over(layer, settings);
  }
  Settings assigned;
  for (std::size_t i = 0; i < assignments.size(); ++i) {
    const std::string source = i < assigned_by.size() ? assigned_by[i] : "--set";
    collect(parse_assignment(assignments[i], source), "", source, assigned);
    require_types(assigned);
  }
  put_over(assigned, settings);
  Config config;
  store(settings, config);
  if (!settings.contains("model.attention")) config.model.attention = derive_attention(config.model.context);
  if (!settings.contains("model.positions")) {
    config.model.positions = derive_positions(config.model.attention, config.model.context);
  }
  TrainingConfig& training = config.training;
  if (!settings.contains("training.warmup_steps")) training.warmup_steps = TrainingConfig::kAutomaticWarmup;
  if (training.warmup_steps == TrainingConfig::kAutomaticWarmup && training.minutes <= 0)
    training.warmup_steps = automatic_warmup(training.steps);
  check_together(config, settings);
  return config;
}

std::int64_t automatic_warmup(std::int64_t steps) { return std::min(kMostWarmup, steps / 10); }

std::vector<std::string> assigned_keys(const std::string& assignment, const std::string& assigned_by) {
  Settings settings;
  collect(parse_assignment(assignment, assigned_by), "", assigned_by, settings);
  std::vector<std::string> keys;
  for (const ConfigField& field : config_fields())
    if (settings.contains(field.key)) keys.push_back(field.key);
  return keys;
}

std::string write_config(const Config& config) {
  std::string out = "{";
  std::string section;
  for (const ConfigField& field : config_fields()) {
    const std::size_t dot = field.key.find('.');
    const std::string name = field.key.substr(0, dot);
    if (name != section) {
      out += fmt::format("{}\n  \"{}\": {{\n", section.empty() ? "" : "\n  },", name);
      section = name;
    } else {
      out += ",\n";
    }
    out += fmt::format("    \"{}\": {}", field.key.substr(dot + 1), on_one_line(field.write(config)));
  }
  return out + "\n  }\n}\n";
}

}  // namespace longstride
