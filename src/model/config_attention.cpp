// model.attention and what follows from it: its JSON, and the defaults that depend on the context.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "longstride/error.h"
#include "model/config_fields.h"

namespace longstride {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const json& value) {
  throw_invalid(
      fmt::format("model.attention: needs a pattern, a list of patterns over blocks, or a list of lists over "
                  "heads, got {}",
                  value_words(value)));
}

Pattern pattern_from_json(const json& value) {
  if (!value.is_string()) fail(value);
  return parse_pattern(value.get_ref<const std::string&>());
}

std::int64_t root_above(std::int64_t number) {  // ceil(sqrt(number))
  auto root = static_cast<std::int64_t>(std::sqrt(static_cast<double>(number)));
  while (root * root < number) ++root;
  while (root > 1 && (root - 1) * (root - 1) >= number) --root;
  return root;
}

bool has_stride(const Part& part) {
  switch (part.primitive) {
    case Primitive::column:
    case Primitive::row:
    case Primitive::summary:
    case Primitive::previous_row:
    case Primitive::digits:
      return part.length > 0;
    default:
      return false;
  }
}

}  // namespace

AttentionLayout attention_from_json(const json& value) {
  if (value.is_string()) return {{{pattern_from_json(value)}}};
  if (!value.is_array() || value.empty()) fail(value);
  AttentionLayout layout;
  for (const json& block : value) {
    std::vector<Pattern> heads;
    if (block.is_array()) {
      for (const json& head : block) heads.push_back(pattern_from_json(head));
      if (heads.empty()) fail(value);
    } else {
      heads.push_back(pattern_from_json(block));
    }
    layout.blocks.push_back(std::move(heads));
  }
  return layout;
}

json attention_to_json(const AttentionLayout& layout) {
  json blocks = json::array();
  for (const std::vector<Pattern>& heads : layout.blocks) {
    json list = json::array();
    for (const Pattern& pattern : heads) list.push_back(to_string(pattern));
    blocks.push_back(list.size() == 1 ? list[0] : list);
  }
  return blocks.size() == 1 && blocks[0].is_string() ? blocks[0] : blocks;
}

AttentionLayout read_attention(const std::string& json_or_text) {
  const std::size_t first = json_or_text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string::npos && (json_or_text[first] == '[' || json_or_text[first] == '"') &&
                       json_or_text.find('\0') == std::string::npos;  // which the parser takes for the end
  if (!is_json) return {{{parse_pattern(json_or_text)}}};
  json value;
  try {
    value = json::parse(json_or_text, watch_parse("model.attention"), true, true);
  } catch (const json::exception&) {
    throw_invalid(
        fmt::format("model.attention: {} is not valid JSON; patterns in a list need quotation marks: "
                    "[\"local(7)\", \"column(8)\"]",
                    json_or_text));
  }
  return attention_from_json(value);
}

std::string write_attention(const AttentionLayout& layout) { return attention_to_json(layout).dump(); }

AttentionLayout derive_attention(std::int64_t context) {
  const std::int64_t l = root_above(context);
  return {{{parse_pattern(fmt::format("fixed({},{})", l, std::max<std::int64_t>(1, l / 4)))}}};
}

std::vector<std::int64_t> derive_positions(const AttentionLayout& attention, std::int64_t context) {
  for (const std::vector<Pattern>& heads : attention.blocks) {
    for (const Pattern& pattern : heads) {
      const auto part = std::find_if(pattern.parts.begin(), pattern.parts.end(), has_stride);
      if (part == pattern.parts.end()) continue;
      const std::int64_t l = std::min(part->length, context);
      return {(context - 1) / l + 1, l};
    }
  }
  const std::int64_t l = root_above(context);
  return {(context - 1) / l + 1, l};
}

}  // namespace longstride
