// This writes a model into a safetensors file, and reads one after checking every tensor against the configuration.
#include "model/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
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

// Index of the first value that is not finite, or -1. bytes: float32, little-endian.
std::int64_t first_not_finite(std::span<const std::uint8_t> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 4) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, bytes.data() + at, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u) return static_cast<std::int64_t>(at / 4);
  }
  return -1;
}

// The tensor prefix + entry.name, of the form that the table says.
const TensorEntry& checked_tensor(const SafetensorsFile& file, const Parameter& entry, const std::string& prefix) {
  const std::string name = prefix + entry.name;
  const TensorEntry* tensor = file.find(name);
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
  return *tensor;
}

// Calls `take` with the values of a tensor, block after block, each found finite.
void each_finite_block(const SafetensorsFile& file, const TensorEntry& tensor,
                       const std::function<void(std::span<const std::uint8_t> block)>& take) {
  std::int64_t before = 0;  // elements
  file.each_block(tensor, [&](std::span<const std::uint8_t> block) {
    if (const std::int64_t bad = first_not_finite(block); bad >= 0) {
      float value = 0;
      std::memcpy(&value, block.data() + 4 * bad, sizeof value);
      throw_corrupt_checkpoint(
          file.path(), fmt::format("has {} in tensor \"{}\" at element {}; a model's weights must be finite",
                                   std::isnan(value) ? "NaN" : "infinity", tensor.name, with_commas(before + bad)));
    }
    take(block);
    before += static_cast<std::int64_t>(block.size() / 4);
  });
}

void refuse_unknown(const SafetensorsFile& file, const ParameterTable& table) {
  std::set<std::string_view> known;
  for (const Parameter& entry : table.entries()) known.insert(entry.name);
  for (const TensorEntry& tensor : file.tensors()) {
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

// A model of pictures reads one a window; else a file of few bytes could ask for a picture of many GB.
void check_picture(const Config& config) {
  const DataConfig& data = config.data;
  if (data.kind != "image" || data.image_size.empty() || data.channels < 1) return;
  const std::int64_t bytes = data.image_size[0] * data.image_size[1] * data.channels;
  if (bytes != config.model.context) {
    throw_invalid(fmt::format("data.image_size: pictures of [{}, {}, {}] are {} bytes, its windows {}",
                              data.image_size[0], data.image_size[1], data.channels, with_commas(bytes),
                              with_commas(config.model.context)));
  }
}

Config read_stored_config(const SafetensorsFile& file) {
  const std::string& text = metadata_of(file, "config");
  try {
    const Config config = read_config({text}, {"config"}, {});
    check_picture(config);
    return config;
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

// The folder of a checkpoint in a run says its step: one that was renamed or copied over another would count as that.
void check_name(const std::string& model_path, std::int64_t step) {
  const std::filesystem::path folder = std::filesystem::path(model_path).parent_path();
  const std::optional<std::int64_t> named = step_of_name(folder.filename().string());
  if (!named || *named == step || folder.parent_path().filename() != kCheckpointFolder) return;
  throw_corrupt_checkpoint(model_path, fmt::format("is of step {}, its folder says {}; give it its name back, {}", step,
                                                   *named, checkpoint_name(step)));
}

// Training keeps its own numbers beside the model, so that the model's bytes do not depend on when it was validated.
void add_what_is_beside(const SafetensorsFile& model, CheckpointInfo& info) {
  const std::filesystem::path path = std::filesystem::path(model.path()).parent_path() / kTrainingStateFile;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return;
  const SafetensorsFile state(path.string());
  state.verify();
  check_together(model, state);
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
  number("elapsed_s", info.elapsed_s);
  number("tokens_per_s", info.tokens_per_s);
  if (info.valid_bits >= 0) number("best_bits", info.best_bits);
  number("data_bytes", info.data_bytes);
  if (const auto hash = state.metadata().find("data_sha256"); hash != state.metadata().end())
    info.data_sha256 = hash->second;
}

}  // namespace

std::string checkpoint_name(std::int64_t step) { return fmt::format("{:09}", step); }

void check_together(const SafetensorsFile& model, const SafetensorsFile& state) {
  const auto of = [](const SafetensorsFile& file, const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  const std::string trained = of(state, kModelHash), there = of(model, "sha256");
  const bool same_model = trained.empty() || there.empty() || trained == there;
  const bool same_step = of(state, "step").empty() || of(state, "step") == of(model, "step");
  if (same_model && same_step) return;
  throw_corrupt_checkpoint(
      state.path(),
      fmt::format("was not saved with the \"{}\" beside it (of step {}, that one of step {}): one of them "
                  "was copied there",
                  std::filesystem::path(model.path()).filename().string(), of(state, "step"), of(model, "step")));
}

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
  check_name(file.path(), info.step);
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
    auto* into = reinterpret_cast<std::uint8_t*>(host_store + entry.offset);
    each_finite_block(file, checked_tensor(file, entry, prefix),
                      [&](std::span<const std::uint8_t> block) { into = std::copy(block.begin(), block.end(), into); });
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
  for (const Parameter& entry : model.table.entries()) checked_tensor(file, entry, "");  // before it gets memory
  const std::int64_t elements = model.table.store_elements();
  model.f32 = Buffer(backend, elements * size_of(DType::float32));
  backend.zero(model.f32.data(), model.f32.bytes());
  for (const Parameter& entry : model.table.entries()) {  // by blocks: no second copy in memory
    std::int64_t at = entry.offset;
    each_finite_block(file, file.tensor(entry.name), [&](std::span<const std::uint8_t> block) {
      const auto bytes = static_cast<std::int64_t>(block.size());
      backend.upload(model.f32.f32() + at, block.data(), bytes);
      backend.wait();  // the block is read into again
      at += bytes / size_of(DType::float32);
    });
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
    const TensorEntry& tensor = checked_tensor(file, entry, "");
    each_finite_block(file, tensor, [](std::span<const std::uint8_t>) {});
    info.tensors.emplace_back(entry.name, tensor.shape);
  }
  info.parameters = table.count();
  add_what_is_beside(file, info);
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

CheckpointInfo describe_checkpoint(const std::string& run, const std::string& which) {
  return with_checkpoint(run, which, [](const std::string& path) { return describe_checkpoint(path); });
}

Config checkpoint_config(const std::string& run, const std::string& which) {
  return with_checkpoint(run, which, [](const std::string& path) { return checkpoint_config(path); });
}

void add_tensors(std::vector<StoredTensor>& tensors, const ParameterTable& table, const std::string& prefix,
                 const ParameterValues& values) {
  for (const Parameter& entry : table.entries()) {
    const auto bytes = [&entry, &values] {
      return std::span(reinterpret_cast<const std::uint8_t*>(values(entry)),
                       static_cast<std::size_t>(entry.count) * sizeof(float));
    };
    tensors.push_back({prefix + entry.name, "F32", entry.shape, {}, bytes});
  }
}

std::string save_model(const std::string& path, const Config& config, std::int64_t step, const ParameterTable& table,
                       const ParameterValues& values, const std::optional<Origin>& origin) {
  std::map<std::string, std::string> metadata = {
      {"format", kCheckpointFormat}, {"config", write_config(config)}, {"step", std::to_string(step)}};
  if (origin)
    Origin::fields(*origin,
                   [&](const char* name, const std::string& text) { metadata[std::string(kOrigin) + name] = text; });
  std::vector<StoredTensor> tensors;
  add_tensors(tensors, table, "", values);
  return write_safetensors(path, metadata, tensors);
}

}  // namespace longstride
