// The keys of the configuration: one table that reading, writing, checking and messages share. A new key is one line of
// config_fields.cpp and one in docs/configuration.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "longstride/config.h"

namespace longstride {

struct ConfigField {
  std::string key;  // "model.width"
  // Stores the value; throws std::string with what is needed ("a whole number in [1, 65536]") where it does not fit.
  std::function<void(Config&, const nlohmann::json&)> read;
  std::function<nlohmann::json(const Config&)> write;
};

const std::vector<ConfigField>& config_fields();  // in the order in which they are written
const ConfigField* find_field(const std::string& key);

// Watches a parse: a key that comes twice in one object is an error (which of the two was meant?), and so is a depth
// that no configuration has (nlohmann-json copies and prints by recursion). source: for messages.
inline constexpr int kMostDepth = 16;
nlohmann::json::parser_callback_t watch_parse(const std::string& source);

// The known key that a user most likely meant: smallest edit distance, to the whole key or to what follows its dot.
std::string nearest_key(const std::string& key);

// What an unknown key was most likely meant to be: a section where it holds keys, or is spelt much like one, and else
// the nearest key.
std::string nearest_name(const std::string& key, bool holds_keys);

// training.warmup_steps of so many steps where nothing is said of it: 5,000, and at most a tenth of them.
inline constexpr std::int64_t kMostWarmup = 5000;
std::int64_t automatic_warmup(std::int64_t steps);

// A text as JSON, with comments; source: for messages. Error invalid_argument naming line, column and what is wrong.
nlohmann::json parse_json(const std::string& text, const std::string& source);

std::string value_words(const nlohmann::json& value);  // as messages show it: JSON, cut where it is long

// model.positions where it was left out: [ceil(context / l), l] with l the pattern's stride, or ceil(sqrt(context)).
std::vector<std::int64_t> derive_positions(const AttentionLayout& attention, std::int64_t context);

// model.attention where it was left out: fixed(l, c) with l = ceil(sqrt(context)), c = max(1, floor(l / 4)).
AttentionLayout derive_attention(std::int64_t context);

AttentionLayout attention_from_json(const nlohmann::json& value);  // Error invalid_argument
nlohmann::json attention_to_json(const AttentionLayout& layout);

}  // namespace longstride
