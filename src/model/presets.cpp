// Configurations by name: the paper's, and small ones that a laptop trains in minutes.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "longstride/config.h"
#include "longstride/error.h"
#include "model/config_fields.h"

namespace longstride {
namespace {

struct Preset {
  const char* name;
  const char* json;
  const char* base = nullptr;  // the preset that it changes
};

constexpr Preset kPresets[] = {
    // The paper, section 7.2: 30 layers, 8 heads, width 512, dropout 0.40, fixed(128,32), 80 epochs; 5,000 steps of
    // warm-up (section 6). Not in the paper: the learning rate, taken from CIFAR-10's. steps: 80 epochs of the 90 MB
    // training part in windows of 12,288 bytes, batch 1.
    {"enwik8", R"json({
  "model": {
    "vocabulary": 256, "context": 12288, "layers": 30, "width": 512, "heads": 8,
    "feedforward": 4, "query_key": 1, "dropout": 0.4, "attention": "fixed(128,32)"
  },
  "data": {"split": [0.9, 0.05, 0.05]},
  "training": {"steps": 585938, "batch": 1, "learning_rate": 0.00035, "warmup_steps": 5000}
})json"},
    // The paper, section 7.1: 128 layers, 2 heads, width 256, half-size feed-forward and query-key projections, dropout
    // 0.25, 120 epochs at 0.00035. The cycle of patterns and its stride are the authors' later code's
    // (openai/distribution_augmentation). Ours: 16 pictures a step, as 8 times 2. steps: 120 epochs of 48,000 pictures.
    {"cifar10", R"json({
  "model": {
    "vocabulary": 256, "context": 3072, "layers": 128, "width": 256, "heads": 2, "feedforward": 2, "query_key": 0.5,
    "dropout": 0.25, "attention": ["column(96)", "window(96)", "window(96)", "window(96)"], "positions": [32, 32, 3]
  },
  "data": {"kind": "image", "image_size": [32, 32], "channels": 3},
  "training": {"steps": 360000, "batch": 2, "accumulate": 8, "learning_rate": 0.00035, "warmup_steps": 5000}
})json"},
    // The paper, section 7.3: 48 layers, 16 heads, width 512, dropout 0.01, 70 epochs. Cycle and learning rate are the
    // authors' later code's. Ours: 8 pictures a step. steps: 70 epochs of 1,281,149 pictures.
    {"imagenet64", R"json({
  "model": {
    "vocabulary": 256, "context": 12288, "layers": 48, "width": 512, "heads": 16, "feedforward": 4, "query_key": 1,
    "dropout": 0.01, "attention": ["window(128)", "column(128)", "window(128)", "window(128)"], "positions": [64, 64, 3]
  },
  "data": {"kind": "image", "image_size": [64, 64]},
  "training": {"steps": 11210054, "batch": 1, "accumulate": 8, "learning_rate": 0.00015, "warmup_steps": 5000}
})json"},
    // The paper, section 7.4 and table 4: classical music, 12 kHz, 8-bit mu-law, strided, with 152M, 25M and 3M
    // parameters. Their shapes are not given: depth, width and stride (near the root of n) are ours, as are steps.
    {"music-65k", R"json({
  "model": {
    "vocabulary": 256, "context": 65536, "layers": 48, "width": 512, "heads": 8, "feedforward": 4, "query_key": 1,
    "dropout": 0, "attention": "strided(256)", "positions": [256, 256]
  },
  "data": {"kind": "sound", "sample_rate": 12000},
  "training": {"steps": 100000, "batch": 1, "learning_rate": 0.00035, "warmup_steps": 5000, "recompute": "block"}
})json"},
    {"music-262k", R"json({
  "model": {"context": 262144, "layers": 32, "width": 256, "attention": "strided(512)", "positions": [512, 512]}
})json",
     "music-65k"},
    {"music-1m", R"json({
  "model": {
    "context": 1048576, "layers": 14, "width": 128, "heads": 2, "attention": "strided(1024)", "positions": [1024, 1024]
  }
})json",
     "music-65k"},
    // The paper's comparisons on the two data sets of its table 2, the model otherwise the same. `enwik8` is its row
    // `fixed`, `cifar10` its row `strided` with interleaved parts. fixed(96,32) for pictures is ours: rows of pixels.
    {"enwik8-dense", R"json({"model": {"attention": "dense"}})json", "enwik8"},
    {"enwik8-strided", R"json({"model": {"attention": "strided(128)"}})json", "enwik8"},
    {"cifar10-dense", R"json({"model": {"attention": "dense"}})json", "cifar10"},
    {"cifar10-fixed", R"json({"model": {"attention": "fixed(96,32)"}})json", "cifar10"},
    // Section 5.1's three ways to integrate the parts (`enwik8` merges them), and section 4.3's summaries of c cells.
    {"enwik8-interleaved", R"json({"model": {"attention": ["row(128)", "summary(128,32)"]}})json", "enwik8"},
    {"enwik8-multihead", R"json({"model": {"attention": [["row(128)", "summary(128,32)"]]}})json", "enwik8"},
    {"enwik8-c8", R"json({"model": {"attention": "fixed(128,8)"}})json", "enwik8"},
    {"enwik8-c16", R"json({"model": {"attention": "fixed(128,16)"}})json", "enwik8"},
    // Our own: any text, three minutes on two cores. Hash embeddings hold what n-grams know, so that the network can be
    // narrow and see many bytes; a short warm-up, and initialisation gpt2, because the others learn little in so few
    // steps (docs/performance.md, "Learning").
    {"text-small", R"json({
  "model": {
    "vocabulary": 256, "context": 512, "layers": 4, "width": 64, "heads": 4,
    "feedforward": 4, "query_key": 1, "dropout": 0, "attention": ["local(16)", "strided(32)"],
    "hash_orders": [2, 3, 4, 5, 6], "hash_buckets": 16384, "initialisation": "gpt2"
  },
  "training": {"minutes": 3, "batch": 2, "learning_rate": 0.002, "warmup_steps": 50, "beta2": 0.99, "ema": 0}
})json"},
    // Our own: any pictures, brought to 32 x 32, ten minutes on two cores. Position i reads token i - 1, so that the
    // pixel above token i lies 95 positions before it and the one to its right 92: a head each. The convolution reaches
    // as far.
    {"image-small", R"json({
  "model": {
    "vocabulary": 256, "context": 3072, "layers": 4, "width": 64, "heads": 4, "feedforward": 4, "query_key": 1,
    "dropout": 0, "attention": [["local(6)", "local(24)", "column(95)", "local(3) | column(92)"]],
    "positions": [32, 32, 3], "convolution": 96, "initialisation": "gpt2"
  },
  "data": {"kind": "image", "image_size": [32, 32], "channels": 3},
  "training": {"minutes": 10, "batch": 4, "learning_rate": 0.004, "warmup_steps": 50, "beta2": 0.99, "ema": 0}
})json"},
    // Our own: any recordings, ten minutes on two cores. At 6 kHz what there is to learn is tones; at 12 kHz most of it
    // is
    // that neighbouring samples are alike (docs/performance.md, "Learning").
    {"sound-small", R"json({
  "model": {
    "vocabulary": 256, "context": 1024, "layers": 4, "width": 64, "heads": 4, "feedforward": 4, "query_key": 1,
    "dropout": 0, "attention": [["local(16)", "local(64)", "local(256)", "dense"]], "convolution": 64,
    "initialisation": "gpt2"
  },
  "data": {"kind": "sound", "sample_rate": 6000},
  "training": {"minutes": 10, "batch": 8, "learning_rate": 0.004, "warmup_steps": 50, "beta2": 0.99, "ema": 0}
})json"},
};

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

std::string preset_json(const std::string& name) {
  const auto found =
      std::find_if(std::begin(kPresets), std::end(kPresets), [&](const Preset& preset) { return name == preset.name; });
  if (found == std::end(kPresets)) {
    const std::vector<std::string> names = preset_names();
    throw_invalid(fmt::format("no preset \"{}\"; the nearest is {} (there are: {})", name, nearest_word(name, names),
                              fmt::join(names, ", ")));
  }
  if (found->base == nullptr) return found->json;
  nlohmann::ordered_json whole = nlohmann::ordered_json::parse(preset_json(found->base));
  whole.merge_patch(nlohmann::ordered_json::parse(found->json));
  return whole.dump(2);
}

}  // namespace longstride
