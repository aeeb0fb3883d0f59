// This finds the weights that a run begins with and says what keeps them from being those of its model.
#include "train/initial_weights.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/file.h"
#include "io/safetensors.h"
#include "io/system.h"
#include "io/words.h"
#include "longstride/error.h"
#include "longstride/model.h"
#include "longstride/train.h"
#include "model/checkpoint.h"
#include "model/config_fields.h"

namespace longstride {

namespace {

// Keys that change no tensor. A context may be another one as long as there are positions for it.
const std::set<std::string> kFree = {"model.context", "model.attention", "model.dropout", "model.initialisation"};

std::string advice(const std::string& key, const ModelConfig& then) {
  if (key == "model.vocabulary") return "; the vocabularies must be the same";
  if (key != "model.positions") return "; leave it out, or train without --init";
  std::int64_t positions = 1;
  for (const std::int64_t extent : then.positions) positions *= extent;
  return fmt::format("; they are part of the weights, which are for contexts of up to {} tokens: leave it out",
                     with_commas(positions));
}

void require_fit(const std::string& path, const ModelConfig& then, const ModelConfig& now) {
  Config before, after;
  before.model = then;
  after.model = now;
  for (const ConfigField& field : config_fields()) {
    if (!field.key.starts_with("model.") || kFree.contains(field.key)) continue;
    const nlohmann::json had = field.write(before), needs = field.write(after);
    if (had == needs) continue;
    throw_invalid(fmt::format("training.init: the weights of \"{}\" do not fit: {} is {} there, {} here{}", path,
                              field.key, value_words(had), value_words(needs), advice(field.key, then)));
  }
}

std::string kind_words(const std::string& kind) { return kind == "image" ? "pictures" : kind; }

}  // namespace

void settle_initial_weights(Config& config) {
  TrainingConfig& training = config.training;
  if (training.init.empty()) return;
  std::string path;
  try {
    path = find_checkpoint(training.init, "best");
  } catch (const Error& error) {
    throw Error(error.kind(), std::string("training.init: ") + error.what());
  }
  const SafetensorsFile file(path);
  file.verify();
  require_fit(path, read_checkpoint_metadata(file).config.model, config.model);
  const std::string hash = sha256_of(InputFile(path));
  if (!training.init_sha256.empty() && training.init_sha256 != hash)
    throw_invalid(
        fmt::format("training.init: \"{}\" is not the file that training.init_sha256 names: its sha256 is {}, "
                    "not {}; leave that key out to begin with what is there now",
                    path, hash.substr(0, 12), training.init_sha256.substr(0, 12)));
  training.init = absolute_path(path);
  training.init_sha256 = hash;
}

void require_kind_of_weights(const Config& config, const std::string& run) {
  const std::string& init = config.training.init;
  if (init.empty()) return;
  const std::string learned = checkpoint_config(init).data.kind, kind = find_kind(config.data, run);
  if (learned.empty() || learned == kind) return;
  throw_invalid(
      fmt::format("training.init: the weights of \"{}\" have learned {} and mean nothing to {}, which the data are; "
                  "name data of their kind, or train without --init",
                  init, kind_words(learned), kind_words(kind)));
}

void require_finite_losses(const Config& config, const Dataset& data) {
  const std::string& init = config.training.init;
  if (init.empty()) return;
  const ByteRange part = data.part(Split::train);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min(part.size(), config.model.context)));
  data.read(part.begin, bytes);
  ModelOptions options;
  options.run = init;
  options.device = config.training.device;
  try {
    Model(options).score(std::vector<std::int32_t>(bytes.begin(), bytes.end()));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::diverged) throw;
    throw Error(ErrorKind::corrupt_data,
                fmt::format("training.init: the weights of \"{}\" give no finite loss: their run has diverged, and "
                            "nothing can be learned from there; begin with an earlier checkpoint, or without --init",
                            init));
  }
}

std::string config_to_begin_with(const std::string& run) {
  Config config = checkpoint_config(run, "best");
  config.training.init = run;
  nlohmann::json all = nlohmann::json::parse(write_config(config));
  nlohmann::json &data = all["data"], &training = all["training"];
  // The kind is that of the files, which must be the weights' (require_kind_of_weights): "text" would take any bytes.
  for (const char* key : {"kind", "paths", "split", "unreadable", "cache"}) data.erase(key);
  for (const char* key : {"warmup_steps", "init_sha256", "threads", "device", "precision", "recompute"})
    training.erase(key);
  return all.dump();
}

}  // namespace longstride
