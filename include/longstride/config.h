// The configuration of a run: what docs/configuration.md calls model, data and training.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longstride/pattern.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// What computes. automatic: the best there is, a card where the first one can be used.
struct Device {
  enum Kind { automatic, cpu, cuda };
  constexpr Device(Kind of = automatic, int number = 0) : kind(of), card(number) {}
  friend constexpr bool operator==(const Device&, const Device&) = default;

  Kind kind;
  int card;  // of cuda: from 0 on, of the cards that this process is shown (CUDA_VISIBLE_DEVICES)
};
// "auto", "cpu", "cuda" (the first card), "cuda:1"; nothing where it is none of them.
std::optional<Device> read_device(const std::string& word);
std::string to_string(const Device& device);  // the word; "cuda" for the first card

enum class Precision { automatic, float32, bfloat16 };
enum class Recompute { automatic, none, block };
// variance: linear weights of std sqrt(0.125 / fan_in), output 0 (DistAug). paper: 0.125 / sqrt(fan_in), as printed.
// gpt2: std 0.02 everywhere, the output too (Radford et al. 2019): learns sooner where warm-up is short.
enum class Initialisation { variance, paper, gpt2 };

struct ModelConfig {
  std::int64_t vocabulary = 256;
  std::int64_t context = 1024;  // n, tokens
  std::int64_t layers = 4;      // N, residual blocks
  std::int64_t width = 256;     // d, channels
  std::int64_t heads = 4;
  double feedforward = 4;  // hidden width = feedforward x width, whole
  double query_key = 1;    // query and key width = query_key x width, a multiple of heads
  double dropout = 0;      // [0, 1)
  AttentionLayout attention;
  std::vector<std::int64_t> positions;    // extents, row-major, product >= context
  std::vector<std::int64_t> hash_orders;  // rising; one hash embedding each, of so many tokens before; empty: none
  std::int64_t hash_buckets = 16384;      // rows of each
  std::int64_t convolution = 0;           // taps of a causal depthwise convolution of the token embeddings; 0: none
  Initialisation initialisation = Initialisation::variance;

  std::int64_t hidden_width() const;  // C_ff
  std::int64_t query_width() const;   // C_qk, all heads
  std::int64_t query_head() const { return query_width() / heads; }
  std::int64_t value_head() const { return width / heads; }
};

enum class Unreadable { error, skip };

struct DataConfig {
  std::string kind;  // text | image | sound; empty: found from the files
  std::vector<std::string> paths;
  std::vector<double> split = {0.9, 0.05, 0.05};  // shares of bytes or pictures in file order: train, valid, test
  std::vector<std::int64_t> image_size;           // height, width; empty: the files' own, where they have one
  std::int64_t channels = 0;                      // of pictures: 1 grey, 3 RGB, 0 the files' own (folders: 3)
  std::int64_t sample_rate = 12000;               // Hz
  double gain = 0;                                // of sound, dB
  Unreadable unreadable = Unreadable::error;      // files that are cut, damaged or of another kind
  std::string cache;                              // folder of decoded data; empty: beside the run
};

struct TrainingConfig {
  std::int64_t steps = 1000;
  double minutes = 0;  // > 0: stop by the clock, the schedule stretched to it
  std::int64_t batch = 1;
  std::int64_t accumulate = 1;
  std::int64_t lanes = 1;  // sums that a step's micro-batches go into: a power of two, divides accumulate
  double learning_rate = 0.001;
  std::int64_t warmup_steps = 5000;  // kAutomaticWarmup: at most 5,000, and at most a tenth of steps or of minutes
  static constexpr std::int64_t kAutomaticWarmup = -1;  // written as "auto"
  double final_rate = 0;                                // share of learning_rate at the end of the cosine
  double weight_decay = 0.01;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double clip = 1.0;          // global gradient norm; 0: off
  double ema = 0.999;         // 0: off
  std::int64_t patience = 0;  // validations in a row without a better one that end the run; 0: off
  // Weights to begin with in place of random ones: RUN, a checkpoint or a .safetensors file; empty: none. A run that
  // began with them knows the file and its sha256, and another file in its place is an error.
  std::string init, init_sha256;
  std::int64_t seed = 1;
  std::int64_t threads = 0;  // 0: every core
  Device device = Device::automatic;
  Precision precision = Precision::automatic;
  Recompute recompute = Recompute::automatic;
  double checkpoint_minutes = 10;
  std::int64_t keep = 3;
  double validate_minutes = 5;
  double sample_minutes = 10;
};

struct Config {
  ModelConfig model;
  DataConfig data;
  TrainingConfig training;
};

// text | image | sound: data.kind, or where it is empty what the names of the files below data.paths say, as training
// would find it; text where there are none. run: the folder that will be trained into, whose files are no data. Errors:
// invalid_argument where a path is missing or files are of several kinds.
std::string find_kind(const DataConfig& data, const std::string& run = "");

// Names of the presets, and the JSON of one. Error invalid_argument names the nearest.
std::vector<std::string> preset_names();
std::string preset_json(const std::string& name);

// The known word that somebody most likely meant: the fewest letters exchanged, added or left out; its beginning, its
// initials ("lr" for "learning_rate") or more words around it ("n_layers" for "layers") count as one.
std::string nearest_word(const std::string& word, const std::vector<std::string>& known);
// The same where it is likely that it was meant: at most one mistake, or one in three letters. None: it is another
// word.
std::optional<std::string> likely_word(const std::string& word, const std::vector<std::string>& known);

// Layers JSON texts (comments allowed) in order, later ones over earlier; then the assignments "model.width=256" (the
// value JSON, or a word as a string), all of them one layer. Of training.steps and training.minutes the one that a
// later layer sets ends the run: steps alone put aside the minutes of the layers below. Unknown keys, wrong types,
// numbers out of range and values that do not fit each other are errors that name key, source and remedy. `sources`
// gives each text's name for messages (same length as texts), `assigned_by` each assignment's: "--set" where it says
// nothing.
Config read_config(const std::vector<std::string>& texts, const std::vector<std::string>& sources,
                   const std::vector<std::string>& assignments, const std::vector<std::string>& assigned_by = {});

// The keys that such an assignment sets, in order: model.width alone of "model.width=256" and of
// "model={\"width\": 256}". Errors: as read_config, but for values.
std::vector<std::string> assigned_keys(const std::string& assignment, const std::string& assigned_by = "--set");

// The whole configuration as JSON text, indented, every key present; read_config reads it back to the same values.
std::string write_config(const Config& config);
std::string write_attention(const AttentionLayout& layout);  // the JSON of model.attention alone

// Reads the JSON of model.attention: a pattern's text (bare or quoted), or a list.
AttentionLayout read_attention(const std::string& json_or_text);

// Throws where the model cannot be: divisibility of heads, widths, positions too few, sizes out of range.
void check(const ModelConfig& model);
void check(const Config& config);

}  // namespace longstride
#pragma GCC visibility pop
