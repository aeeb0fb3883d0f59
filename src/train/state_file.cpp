// TrainState in files: model.safetensors with the weights that evaluation uses, state.safetensors with everything else.
#include "io/file.h"
#include "io/safetensors.h"
#include "io/system.h"
#include "longstride/error.h"
#include "model/checkpoint.h"
#include "train/state.h"

namespace longstride {

// One parameter's values in host memory. Those of elements that are shared out go to the first process, all others take
// part and get none. staging: holds them where they lie nowhere else.
const float* TrainState::values(const Buffer& buffer, const Parameter& entry, std::vector<std::byte>& staging) const {
  const bool shared_out = world_.size() > 1 && &buffer != &weights_;  // weights_ hold all, or are not asked for
  if (!shared_out)
    return static_cast<const float*>(backend_.readable(buffer.f32() + entry.offset, entry.count * 4, staging));
  const bool first = world_.rank() == 0;
  if (first) staging.resize(static_cast<std::size_t>(entry.count) * 4);
  auto* all = reinterpret_cast<float*>(staging.data());
  for (int s = 0; s < shards_.segments(); ++s) {
    const ElementRange of_entry{entry.offset, entry.offset + entry.count}, of_segment = shards_.segment(s);
    if (intersection(of_entry, of_segment).size() == 0) continue;
    std::vector<World::Piece> sends(static_cast<std::size_t>(world_.size())), receives = sends;
    std::vector<std::byte> own;
    const ElementRange mine = shards_.moved(s, world_.rank()), sent = intersection(of_entry, mine);
    if (sent.size() > 0) {
      const Array<float> piece = moved(buffer, s).from(sent.begin - mine.begin, sent.size());
      sends[0] = {const_cast<void*>(backend_.readable(piece.data, piece.count * 4, own)), piece.count * 4};
    }
    for (int p = 0; first && p < world_.size(); ++p) {
      const ElementRange piece = intersection(of_entry, shards_.moved(s, p));
      if (piece.size() > 0)
        receives[static_cast<std::size_t>(p)] = {all + piece.begin - entry.offset, piece.size() * 4};
    }
    world_.exchange(sends, receives);
  }
  return all;
}

void TrainState::save(const std::string& checkpoint, const Config& config, const Progress& progress) const {
  backend_.wait();
  std::vector<std::byte> staging;
  const auto of = [&](const Buffer& buffer) {
    return [&](const Parameter& entry) { return values(buffer, entry, staging); };
  };
  const ParameterValues trained = of(this->trained()), average = of(average_), m = of(first_moment_),
                        v = of(second_moment_);
  const bool averaging = averages();
  if (world_.rank() != 0) {  // takes part in what the first one writes, in its order
    std::vector<const ParameterValues*> written = {&trained, &m, &v};
    if (averaging) written.insert(written.begin(), &average);
    for (const ParameterValues* all : written)
      for (const Parameter& entry : table_.entries()) (*all)(entry);
    return;
  }
  // Nothing that depends on the clock (validations do) goes into this file: the same steps make the same bytes.
  const std::string model_hash = save_model(checkpoint + "/" + kModelFile, config, progress.step, table_,
                                            averaging ? average : trained, progress.origin);
  std::vector<StoredTensor> tensors;
  if (averaging) add_tensors(tensors, table_, "weights.", trained);
  add_tensors(tensors, table_, "first_moment.", m);
  add_tensors(tensors, table_, "second_moment.", v);
  std::map<std::string, std::string> metadata = progress_metadata(progress);
  metadata[kModelHash] = model_hash;
  write_safetensors(checkpoint + "/" + kTrainingStateFile, metadata, tensors);
}

// The weights, of a whole store.
void TrainState::put_all(const std::vector<float>& values) {
  for (const Parameter& entry : table_.entries())
    for (std::int64_t first = 0; first < entry.count; first += kPutAtOnce)
      put(entry, first, std::min(kPutAtOnce, entry.count - first), values.data() + entry.offset + first);
}

void TrainState::initialise_from(const std::string& path) {
  const SafetensorsFile file(path);
  file.verify();
  std::vector<float> values(static_cast<std::size_t>(table_.store_elements()));
  load_tensors_into(file, table_, "", values.data());
  put_all(values);
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
  put_all(values);
  read(state, "first_moment.", first_moment_);
  read(state, "second_moment.", second_moment_);
  if (round_) round_->run();
  return progress;
}

}  // namespace longstride
