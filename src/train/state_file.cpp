// TrainState in files: model.safetensors with the weights that evaluation uses, state.safetensors with everything else.

#include "io/file.h"
#include "io/safetensors.h"
#include "io/system.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "train/state.h"

namespace longstride {

namespace {

void add_tensors(std::vector<StoredTensor>& tensors, const ParameterTable& table, const std::string& prefix,
                 const float* store) {
  for (const Parameter& p : table.entries()) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(store + p.offset);
    tensors.push_back({prefix + p.name, "F32", p.shape, {bytes, static_cast<std::size_t>(p.count) * 4}});
  }
}

}  // namespace

void TrainState::save(const std::string& checkpoint, const Config& config, const Progress& progress) const {
  // Where one process keeps all, what it keeps is written from where it lies.
  const bool alone = world_.size() == 1;
  const auto whole = [&](const Buffer& mine) { return alone ? std::vector<float>() : gather(mine); };
  const std::vector<float> all_m = whole(first_moment_), all_v = whole(second_moment_), all_average = whole(average_);
  if (world_.rank() != 0) return;
  std::vector<std::byte> w, m, v, average;
  const auto values = [&](const std::vector<float>& all, const Buffer& mine, std::vector<std::byte>& staging) {
    return alone ? host(mine, staging) : all.data();
  };
  const bool averaging = averages();
  const float* trained = host(weights_, w);
  // Nothing that depends on the clock (validations do) goes into this file: the same steps make the same bytes.
  const std::string model_hash =
      save_model(checkpoint + "/" + kModelFile, config, progress.step, table_,
                 averaging ? values(all_average, average_, average) : trained, progress.origin);
  std::vector<StoredTensor> tensors;
  if (averaging) add_tensors(tensors, table_, "weights.", trained);
  add_tensors(tensors, table_, "first_moment.", values(all_m, first_moment_, m));
  add_tensors(tensors, table_, "second_moment.", values(all_v, second_moment_, v));
  std::map<std::string, std::string> metadata = progress_metadata(progress);
  metadata[kModelHash] = model_hash;
  write_safetensors(checkpoint + "/" + kTrainingStateFile, metadata, tensors);
}

void TrainState::initialise_from(const std::string& path) {
  const SafetensorsFile file(path);
  file.verify();
  std::vector<float> values(static_cast<std::size_t>(table_.store_elements()));
  load_tensors_into(file, table_, "", values.data());
  backend_.upload(weights_.data(), values.data(), weights_.bytes());
  take_initial_weights();
}

Progress TrainState::load(const std::string& checkpoint) {
  const bool averaging = averages();
  for (const char* name : {kModelFile, kTrainingStateFile})
    if (!is_there(checkpoint + "/" + name)) throw_corrupt_checkpoint(checkpoint, std::string("lacks its ") + name);
  const SafetensorsFile model(checkpoint + "/" + kModelFile);
  const SafetensorsFile state(checkpoint + "/" + kTrainingStateFile);
  model.verify();
  state.verify();
  check_together(model, state);
  Progress progress = read_progress(state);
  const CheckpointInfo info = read_checkpoint_metadata(model);
  progress.origin = info.origin;
  progress.planned_minutes = info.config.training.minutes;
  std::vector<float> values(static_cast<std::size_t>(table_.store_elements()));
  const auto read = [&](const SafetensorsFile& file, const std::string& prefix, const Buffer& mine) {
    load_tensors_into(file, table_, prefix, values.data());
    put_mine(mine, values);
  };
  if (averaging) read(model, "", average_);
  load_tensors_into(averaging ? state : model, table_, averaging ? "weights." : "", values.data());
  backend_.upload(weights_.data(), values.data(), weights_.bytes());
  read(state, "first_moment.", first_moment_);
  read(state, "second_moment.", second_moment_);
  if (round_) round_->run();
  return progress;
}

}  // namespace longstride
