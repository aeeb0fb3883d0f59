// Runs side by side.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "info_words.h"
#include "words.h"

namespace longstride::program {
namespace {

using nlohmann::ordered_json;

// "model.width" and its value, for every key.
std::vector<std::pair<std::string, ordered_json>> settings(const Config& config) {
  std::vector<std::pair<std::string, ordered_json>> all;
  const ordered_json sections = ordered_json::parse(write_config(config));
  for (const auto& [section, keys] : sections.items())
    for (const auto& [key, value] : keys.items()) all.emplace_back(section + "." + key, value);
  return all;
}

struct Difference {
  std::string key;
  std::vector<ordered_json> values;  // one a run
};

std::vector<Difference> differences(const std::vector<NamedRun>& runs) {
  std::vector<Difference> found;
  for (const NamedRun& run : runs) {
    const auto all = settings(run.info.config);
    found.resize(all.size());
    for (std::size_t at = 0; at < all.size(); ++at) {
      found[at].key = all[at].first;
      found[at].values.push_back(all[at].second);
    }
  }
  std::erase_if(found, [](const Difference& one) {
    return std::all_of(one.values.begin(), one.values.end(), [&](const auto& value) { return value == one.values[0]; });
  });
  return found;
}

std::string bits_words(double bits) { return bits < 0 ? "-" : fmt::format("{:.4f}", bits); }

std::string steps_words(const std::vector<std::int64_t>& steps) {
  return steps.empty() ? "-" : fmt::format("{}", fmt::join(steps, ", "));
}

std::string value_words(const ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

using Row = std::vector<std::string>;

// Columns as wide as their widest word.
std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (std::size_t at = 0; at < row.size(); ++at) widths[at] = std::max(widths[at], row[at].size());
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t at = 0; at < row.size(); ++at) line += fmt::format("  {:<{}}", row[at], widths[at]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace

ordered_json comparison_json(const std::vector<NamedRun>& runs) {
  ordered_json json;
  json["runs"] = ordered_json::array();
  for (const NamedRun& run : runs) json["runs"].push_back(run_json(run));
  json["differs"] = ordered_json::object();
  for (const Difference& one : differences(runs)) json["differs"][one.key] = one.values;
  return json;
}

std::string comparison_words(const std::vector<NamedRun>& runs) {
  std::vector<Row> rows;
  const auto add = [&](const std::string& name, const auto& of_run) {
    Row row = {name};
    for (const NamedRun& run : runs) row.push_back(escaped(of_run(run)));
    rows.push_back(row);
  };
  add("", [](const NamedRun& run) { return run.name; });
  add("step", [](const NamedRun& run) { return with_commas(run.info.step); });
  add("parameters", [](const NamedRun& run) { return with_commas(run.info.parameters); });
  add("validation bits", [](const NamedRun& run) { return bits_words(run.info.valid_bits); });
  add("best bits", [](const NamedRun& run) { return bits_words(run.info.best_bits); });
  add("time trained", [](const NamedRun& run) { return duration_words(run.info.elapsed_s); });
  add("tokens/s", [](const NamedRun& run) {
    return run.info.tokens_per_s > 0 ? rate_words(run.info.tokens_per_s) : std::string("-");
  });
  add("checkpoints", [](const NamedRun& run) { return steps_words(run.checkpoints); });
  add("data sha256", [](const NamedRun& run) {
    return run.info.data_sha256.empty() ? std::string("-") : run.info.data_sha256.substr(0, 12);
  });
  for (const Difference& one : differences(runs)) {
    Row row = {one.key};
    for (const ordered_json& value : one.values) row.push_back(escaped(value_words(value)));
    rows.push_back(row);
  }
  return table(rows);
}

}  // namespace longstride::program
