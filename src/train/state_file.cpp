// TrainState in files: model.safetensors with the weights that evaluation uses, state.safetensors with everything else.
#include <charconv>
#include <filesystem>

#include "io/file.h"
#include "io/safetensors.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "train/state.h"

namespace longstride {

namespace {

constexpr const char* kDataHash = "data_sha256";

// Numbers of Progress by name: one list for writing and reading. The shortest text that reads back the same.
template <typename Visit>
void each_number(Progress& p, Visit visit) {
  visit("step", p.step);
  visit("updates", p.updates);
  visit("skipped", p.skipped);
  visit("skipped_in_a_row", p.skipped_in_a_row);
  visit("elapsed_s", p.elapsed_s);
  visit("warm_share", p.warm_share);
  visit("smoothed_bits", p.smoothed_bits);
  visit("best_bits", p.best_bits);
  visit("best_step", p.best_step);
  visit("valid_bits", p.valid_bits);
  visit("valid_tokens", p.valid_tokens);
  visit("tokens_per_s", p.tokens_per_s);
}

template <typename Visit>
void each_number(DataMark& mark, Visit visit) {
  visit("data_bytes", mark.bytes);
  visit("data_train_bytes", mark.train_bytes);
  visit("data_valid_bytes", mark.valid_bytes);
}

template <typename Number>
std::string to_text(Number value) {
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void add_tensors(std::vector<StoredTensor>& tensors, const ParameterTable& table, const std::string& prefix,
                 const float* store) {
  for (const Parameter& p : table.entries()) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(store + p.offset);
    tensors.push_back({prefix + p.name, "F32", p.shape, {bytes, static_cast<std::size_t>(p.count) * 4}});
  }
}

}  // namespace

void TrainState::save(const std::string& checkpoint, const Config& config, const Progress& progress) const {
  std::vector<std::byte> w, m, v, average;
  const bool averaging = static_cast<bool>(average_);
  const float* trained = host(weights_, w);
  // Nothing that depends on the clock (validations do) goes into this file: the same steps make the same bytes.
  save_model(checkpoint + "/" + kModelFile, config, progress.step, table_,
             averaging ? host(average_, average) : trained, progress.origin);
  std::map<std::string, std::string> metadata = {{"format", "longstride-state-1"}};
  Progress numbers = progress;
  const auto put_number = [&](const char* name, const auto& value) { metadata[name] = to_text(value); };
  each_number(numbers, put_number);
  if (!progress.data.sha256.empty()) {
    each_number(numbers.data, put_number);
    metadata[kDataHash] = progress.data.sha256;
  }
  std::vector<StoredTensor> tensors;
  if (averaging) add_tensors(tensors, table_, "weights.", trained);
  add_tensors(tensors, table_, "first_moment.", host(first_moment_, m));
  add_tensors(tensors, table_, "second_moment.", host(second_moment_, v));
  write_safetensors(checkpoint + "/" + kTrainingStateFile, metadata, tensors);
}

Progress TrainState::load(const std::string& checkpoint) {
  const bool averaging = static_cast<bool>(average_);
  for (const char* name : {kModelFile, kTrainingStateFile})
    if (!std::filesystem::exists(checkpoint + "/" + name))
      throw_corrupt_checkpoint(checkpoint, std::string("lacks its ") + name);
  const SafetensorsFile model(checkpoint + "/" + kModelFile);
  const SafetensorsFile state(checkpoint + "/" + kTrainingStateFile);
  model.verify();
  state.verify();
  Progress progress;
  const auto read_number = [&](const char* name, auto& value) {
    const auto found = state.metadata().find(name);
    const std::string text = found == state.metadata().end() ? "" : found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      throw Error(ErrorKind::corrupt_data, "train: \"" + state.path() + "\" lacks the number \"" + name + "\"");
  };
  each_number(progress, read_number);
  if (const auto hash = state.metadata().find(kDataHash); hash != state.metadata().end()) {
    each_number(progress.data, read_number);
    progress.data.sha256 = hash->second;
  }
  progress.origin = read_checkpoint_metadata(model).origin;
  std::vector<float> values(static_cast<std::size_t>(table_.store_elements()));
  const auto read = [&](const SafetensorsFile& file, const std::string& prefix, const Buffer& buffer) {
    load_tensors_into(file, table_, prefix, values.data());
    put(buffer, values);
  };
  read(model, "", averaging ? average_ : weights_);
  if (averaging) read(state, "weights.", weights_);
  read(state, "first_moment.", first_moment_);
  read(state, "second_moment.", second_moment_);
  if (rounded_) run_once(backend_, Round{weights_.floats(), rounded_.halves()});
  return progress;
}

}  // namespace longstride
