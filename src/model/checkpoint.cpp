// This writes a model into a safetensors file, and reads one after checking every tensor against the configuration.
#include "model/checkpoint.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/words.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr const char* kOrigin = "origin_";  // begins keys of the metadata

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

// Index of the first value that is not finite, or -1. bytes: float32, little-endian, perhaps unaligned.
std::int64_t first_not_finite(std::span<const std::uint8_t> bytes) {
  std::array<std::uint32_t, 4096> block;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof block) {
    const std::size_t taken = std::min(sizeof block, bytes.size() - at);
    std::memcpy(block.data(), bytes.data() + at, taken);
    const auto not_finite = [](std::uint32_t bits) { return (bits & 0x7f800000u) == 0x7f800000u; };
    const auto end = block.begin() + static_cast<std::ptrdiff_t>(taken / 4);
    const auto found = std::find_if(block.begin(), end, not_finite);
    if (found != end) return static_cast<std::int64_t>(at / 4) + (found - block.begin());
  }
  return -1;
}

// The tensor prefix + entry.name, found as the table says.
const StoredTensor& checked_tensor(const SafetensorsFile& file, const Parameter& entry, const std::string& prefix) {
  const std::string name = prefix + entry.name;
  const StoredTensor* tensor = file.find(name);
  const std::string needed = shape_text(entry.shape);
  if (tensor == nullptr) {
    throw_corrupt_checkpoint(
        file.path(), fmt::format("has no tensor \"{}\", which its configuration needs with shape {}", name, needed));
  }
  if (tensor->shape != entry.shape) {
    throw_corrupt_checkpoint(file.path(), fmt::format("has tensor \"{}\" of shape {}, its configuration needs {}", name,
                                                      shape_text(tensor->shape), needed));
  }
  if (tensor->dtype != "F32") {
    throw_corrupt_checkpoint(file.path(),
                             fmt::format("has tensor \"{}\" of dtype {}, which must be F32", name, tensor->dtype));
  }
  const std::int64_t bad = first_not_finite(tensor->bytes);
  if (bad >= 0) {
    float value = 0;
    std::memcpy(&value, tensor->bytes.data() + 4 * bad, sizeof value);
    throw_corrupt_checkpoint(file.path(),
                             fmt::format("has {} in tensor \"{}\" at element {}; a model's weights must be finite",
                                         std::isnan(value) ? "NaN" : "infinity", name, with_commas(bad)));
  }
  return *tensor;
}

void refuse_unknown(const SafetensorsFile& file, const ParameterTable& table) {
  std::set<std::string_view> known;
  for (const Parameter& entry : table.entries()) known.insert(entry.name);
  for (const StoredTensor& tensor : file.tensors()) {
    if (known.count(tensor.name) == 0) {
      throw_corrupt_checkpoint(file.path(),
                               fmt::format("has tensor \"{}\", which its configuration does not know", tensor.name));
    }
  }
}

const std::string& metadata_of(const SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    throw_corrupt_checkpoint(file.path(), fmt::format("is not a model of longstride: its metadata has no \"{}\"", key));
  }
  return found->second;
}

template <typename Number>
std::optional<Number> parse_number(const std::string& text) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

Config read_stored_config(const SafetensorsFile& file) {
  const std::string& text = metadata_of(file, "config");
  try {
    return read_config({text}, {"config"}, {});
  } catch (const Error& error) {
    throw_corrupt_checkpoint(file.path(),
                             fmt::format("has a configuration that this version cannot use: {}", error.what()));
  }
}

// A table for a configuration that a file claims, made only where the file has tensors enough for it.
ParameterTable table_for(const SafetensorsFile& file, const ModelConfig& model) {
  if (model.layers > static_cast<std::int64_t>(file.tensors().size())) {
    throw_corrupt_checkpoint(file.path(), fmt::format("has {} tensors, too few for the {} layers of its configuration",
                                                      file.tensors().size(), with_commas(model.layers)));
  }
  return ParameterTable(model);
}

// Training keeps its own numbers beside the model, so that the model's bytes do not depend on when it was validated.
void add_what_is_beside(const std::string& model_path, CheckpointInfo& info) {
  const std::filesystem::path path = std::filesystem::path(model_path).parent_path() / kTrainingStateFile;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return;
  const SafetensorsFile state(path.string());
  const auto number = [&](const char* name, auto& value) {
    const auto found = state.metadata().find(name);
    if (found == state.metadata().end()) return;
    const auto parsed = parse_number<std::remove_reference_t<decltype(value)>>(found->second);
    if (!parsed || !std::isfinite(static_cast<double>(*parsed))) {
      throw_corrupt_checkpoint(state.path(),
                               fmt::format("is damaged: its {} are \"{}\", no number", name, found->second));
    }
    value = *parsed;
  };
  number("valid_bits", info.valid_bits);
  number("data_bytes", info.data_bytes);
  if (const auto hash = state.metadata().find("data_sha256"); hash != state.metadata().end())
    info.data_sha256 = hash->second;
}

}  // namespace

std::string checkpoint_name(std::int64_t step) { return fmt::format("{:09}", step); }

CheckpointInfo read_checkpoint_metadata(const SafetensorsFile& file) {
  const std::string& format = metadata_of(file, "format");
  if (format != kCheckpointFormat) {
    throw_corrupt_checkpoint(file.path(),
                             fmt::format("has format \"{}\", this version reads \"{}\"", format, kCheckpointFormat));
  }
  CheckpointInfo info;
  info.path = file.path();
  info.config = read_stored_config(file);
  const std::string& step = metadata_of(file, "step");
  info.step = parse_number<std::int64_t>(step).value_or(-1);
  if (info.step < 0)
    throw_corrupt_checkpoint(file.path(), fmt::format("is damaged: its step is \"{}\", no whole number", step));
  Origin origin;
  bool known = true;
  Origin::fields(origin, [&](const char* name, std::string& text) {
    const auto found = file.metadata().find(std::string(kOrigin) + name);
    if (found == file.metadata().end()) return void(known = false);
    text = found->second;
  });
  if (known) info.origin = origin;
  return info;
}

void load_tensors_into(const SafetensorsFile& file, const ParameterTable& table, const std::string& prefix,
                       float* host_store) {
  std::fill_n(host_store, table.store_elements(), 0.0f);
  for (const Parameter& entry : table.entries()) {
    const StoredTensor& tensor = checked_tensor(file, entry, prefix);
    std::memcpy(host_store + entry.offset, tensor.bytes.data(), tensor.bytes.size());
  }
}

namespace {

// Says of a damaged file of a run which others there are.
template <typename Read>
auto naming_others(const std::string& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::corrupt_data) throw;
    throw Error(error.kind(), error.what() + other_checkpoints_words(path));
  }
}

LoadedModel load_one(Backend& backend, const std::string& safetensors_path, DType activations) {
  const SafetensorsFile file(safetensors_path);
  CheckpointInfo info = read_checkpoint_metadata(file);
  file.verify();
  LoadedModel model{info.config, table_for(file, info.config.model), {}, {}, info.step, info.path, info.origin};
  refuse_unknown(file, model.table);
  for (const Parameter& entry : model.table.entries()) checked_tensor(file, entry, "");
  const std::int64_t elements = model.table.store_elements();
  model.f32 = Buffer(backend, elements * size_of(DType::float32));
  backend.zero(model.f32.data(), model.f32.bytes());
  for (const Parameter& entry : model.table.entries()) {  // straight from the mapped file: no second copy in memory
    const StoredTensor& tensor = file.tensor(entry.name);
    backend.upload(model.f32.f32() + entry.offset, tensor.bytes.data(), static_cast<std::int64_t>(tensor.bytes.size()));
  }
  if (activations == DType::bfloat16) {
    model.bf16 = Buffer(backend, elements * size_of(DType::bfloat16));
    run_once(backend, Round{model.f32.floats(), model.bf16.halves()});
  }
  backend.wait();
  return model;
}

CheckpointInfo describe_one(const std::string& path) {
  const SafetensorsFile file(path);
  CheckpointInfo info = read_checkpoint_metadata(file);
  file.verify();
  const ParameterTable table = table_for(file, info.config.model);
  refuse_unknown(file, table);
  for (const Parameter& entry : table.entries()) {
    info.tensors.emplace_back(entry.name, checked_tensor(file, entry, "").shape);
  }
  info.parameters = table.count();
  add_what_is_beside(path, info);
  return info;
}

}  // namespace

LoadedModel load_model(Backend& backend, const std::string& path, DType activations) {
  return naming_others(path, [&] { return load_one(backend, path, activations); });
}

CheckpointInfo describe_checkpoint(const std::string& path) {
  return naming_others(path, [&] { return describe_one(path); });
}

Config checkpoint_config(const std::string& path) {
  return naming_others(path, [&] { return read_checkpoint_metadata(SafetensorsFile(path)).config; });
}

void save_model(const std::string& path, const Config& config, std::int64_t step, const ParameterTable& table,
                const float* host_store, const std::optional<Origin>& origin) {
  std::map<std::string, std::string> metadata = {
      {"format", kCheckpointFormat}, {"config", write_config(config)}, {"step", std::to_string(step)}};
  if (origin)
    Origin::fields(*origin,
                   [&](const char* name, const std::string& text) { metadata[std::string(kOrigin) + name] = text; });
  std::vector<StoredTensor> tensors;
  tensors.reserve(table.entries().size());
  for (const Parameter& entry : table.entries()) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(host_store + entry.offset);
    tensors.push_back({entry.name, "F32", entry.shape, {bytes, static_cast<std::size_t>(entry.count) * sizeof(float)}});
  }
  write_safetensors(path, metadata, tensors);
}

}  // namespace longstride
