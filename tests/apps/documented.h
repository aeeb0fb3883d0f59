// What docs/json.md says that commands print, for tests: its tables, and values held to them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace longstride {

using DocumentedKeys = std::map<std::string, std::string>;  // type by key: "samples[].text" -> "string, where ..."

// The table below the heading of this name.
inline DocumentedKeys documented_keys(const std::string& heading) {
  std::ifstream lines(LONGSTRIDE_SOURCE_DIR "/" "docs/json.md");
  DocumentedKeys keys;
  bool here = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) here = line.substr(line.find(' ') + 1) == heading;
    if (!here || !line.starts_with("| `")) continue;
    const std::size_t key_end = line.find("` | "), type = key_end + 4;
    keys[line.substr(3, key_end - 3)] = line.substr(type, line.find(" |", type) - type);
  }
  EXPECT_FALSE(keys.empty()) << "docs/json.md has no table of " << heading;
  return keys;
}

// type: "number or null", and behind a comma when the key is there.
inline bool is_of_type(const nlohmann::json& value, const std::string& type) {
  const std::string kind = type.substr(0, std::min(type.find(','), type.find(" or null")));
  if (value.is_null()) return type.find(" or null") != std::string::npos;
  if (kind == "string") return value.is_string();
  if (kind == "integer") return value.is_number_integer();
  if (kind == "number") return value.is_number();
  if (kind == "boolean") return value.is_boolean();
  if (kind == "list") return value.is_array();
  return kind == "object" && value.is_object();
}

inline void expect_keys_without_spaces(const nlohmann::json& value) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) EXPECT_EQ(key.find(' '), std::string::npos) << key;
  }
  if (value.is_structured())
    for (const nlohmann::json& inner : value) expect_keys_without_spaces(inner);
}

// Every key of the object is in the table, of its type, and every one of the table is in the object, those aside that
// are there at times. An object of which the table says no keys may have any.
inline void expect_documented(const nlohmann::json& object, const DocumentedKeys& keys,
                              const std::string& prefix = "") {
  ASSERT_TRUE(object.is_object()) << prefix << object;
  const auto below = [&](const std::string& key) { return key.starts_with(prefix) && key.size() > prefix.size(); };
  if (std::none_of(keys.begin(), keys.end(), [&](const auto& entry) { return below(entry.first); })) return;
  for (const auto& [key, value] : object.items()) {
    const auto found = keys.find(prefix + key);
    if (found == keys.end()) {
      ADD_FAILURE() << "docs/json.md does not say " << prefix + key;
      continue;
    }
    EXPECT_TRUE(is_of_type(value, found->second)) << prefix + key << " is " << value << ", not " << found->second;
    if (value.is_object()) expect_documented(value, keys, prefix + key + ".");
    if (!value.is_array()) continue;
    for (const nlohmann::json& item : value)
      if (item.is_object()) expect_documented(item, keys, prefix + key + "[].");
  }
  for (const auto& [key, type] : keys) {
    const std::string name = below(key) ? key.substr(prefix.size()) : "";
    const bool here = !name.empty() && name.find_first_of(".[") == std::string::npos;
    if (!here || type.find(", where ") != std::string::npos) continue;
    EXPECT_TRUE(object.contains(name)) << prefix + name;
  }
}

// The same of what a command printed.
inline void expect_documented(const nlohmann::json& printed, const std::string& command) {
  expect_documented(printed, documented_keys(command));
  expect_keys_without_spaces(printed);
}

}  // namespace longstride
