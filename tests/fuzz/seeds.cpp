// fuzz_seeds FOLDER: whole files of every kind, FOLDER/TARGET/NAME each, that fuzzing begins with. They are made by the
// program's own writers and by the makers of the tests.
#include <cstdio>
#include <filesystem>

#include "data/decoded.h"
#include "io/coded.h"
#include "io/safetensors.h"
#include "io/system.h"
#include "model/checkpoint.h"
#include "model/parameters.h"
#include "train/progress.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

std::string root;

std::string place(const std::string& target, const std::string& name) {
  fs::create_directories(fs::path(root) / target);
  return root + "/" + target + "/" + name;
}

void seed(const std::string& target, const std::string& name, const std::string& text) {
  put(place(target, name), text);
}

// A file under a checksum of its own, and once more without one: then changes get beyond it.
void seed_checked(const std::string& target, const std::string& name) {
  std::string text = get(place(target, name));
  const std::string key = "\"sha256\"", other = "\"sha25x\"";
  if (const std::size_t at = text.find(key); at != std::string::npos) text.replace(at, key.size(), other);
  seed(target, "unchecked-" + name, text);
}

void seed_tensors() {
  const Bytes bytes(64, 7);
  const std::span<const std::uint8_t> all(bytes);
  const std::vector<StoredTensor> tensors = {{"wide", "F64", {2, 1}, all.first(16)},
                                             {"a", "F32", {2, 3}, all.first(24)},
                                             {"scalar", "BF16", {}, all.first(2)},
                                             {"nothing", "U8", {0, 5}, all.first(0)}};
  write_safetensors(place("safetensors", "tensors"), {{"format", "x"}}, tensors);
  seed_checked("safetensors", "tensors");
}

void seed_checkpoints() {
  const std::vector<std::string> small = {"model.width=2",   "model.heads=1",      "model.layers=1",
                                          "model.context=4", "model.vocabulary=2", "model.positions=[2,2]"};
  std::vector<std::string> more = small;
  for (const char* set : {"model.hash_orders=[2]", "model.hash_buckets=2", "model.convolution=2"})
    more.emplace_back(set);
  for (const auto& [name, sets] : {std::pair{"small", small}, std::pair{"more", more}}) {
    const Config config = read_config({}, {}, sets);
    const ParameterTable table(config.model);
    const std::vector<float> store(static_cast<std::size_t>(table.store_elements()), 0.5f);
    save_model(place("checkpoint", name), config, 1, table, store.data());
    seed_checked("checkpoint", name);
  }
  Progress progress;
  progress.step = progress.best_step = 1;
  progress.valid_bits = 7.25;
  progress.data = {9, 5, 2, std::string(64, 'a')};
  for (const char* target : {"progress", "checkpoint"}) {
    write_safetensors(place(target, "state"), progress_metadata(progress), {});
    seed_checked(target, "state");
  }
}

void seed_texts() {
  for (const std::string& name : preset_names()) {
    seed("configuration", name, preset_json(name) + '\0' + "training.steps=10");
    seed("configuration", "whole-" + name, write_config(read_config({preset_json(name)}, {name}, {})));
  }
  const std::string zero(1, '\0');
  seed("configuration", "sets",
       "// nothing\n{}" + zero + "model.attention=[\"local(7)\", [\"dense\", \"row(4)\"]]" + zero +
           "data.paths=[\"a\", \"b\"]" + zero + "training.device=cpu" + zero + "data={\"split\": [0.5, 0.25, 0.25]}");
  const std::vector<std::string> patterns = {"dense",           "window(4) | column(3)",   "strided(8)",
                                             "fixed(8,2)",      "summary(8,2,1) | row(4)", "local(2)",
                                             "previous_row(5)", "prefix(3)|digits(2,3)",   "digits(3,2)"};
  std::string list;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    seed("pattern", std::to_string(i), patterns[i]);
    seed("attention", std::to_string(i), patterns[i]);
    list += (i == 0 ? "[\"" : ", \"") + patterns[i] + "\"";
  }
  seed("attention", "blocks", list + "]");
  seed("attention", "heads", "[" + list + "], \"dense\"]");
  seed("log", "lines",
       "{\"step\":0,\"event\":\"started\"}\n{\"step\":100,\"loss_bits\":null}\n{\"step\":101,\"tokens\":1e3}\n{\"ste");
}

void seed_pictures() {
  const std::vector<PngForm> forms = {
      {3, 2, 1, PNG_COLOR_TYPE_GRAY},        {3, 2, 8, PNG_COLOR_TYPE_GRAY},
      {3, 2, 16, PNG_COLOR_TYPE_RGB},        {3, 2, 8, PNG_COLOR_TYPE_RGB_ALPHA},
      {3, 2, 16, PNG_COLOR_TYPE_GRAY_ALPHA}, {9, 9, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7},
      {3, 2, 4, PNG_COLOR_TYPE_PALETTE}};
  for (std::size_t i = 0; i < forms.size(); ++i) {
    PngForm form = forms[i];
    if (form.colour == PNG_COLOR_TYPE_PALETTE) {
      form.palette = std::vector<png_color>(16, png_color{1, 2, 3});
      form.palette_alpha = {0, 128};
    }
    if (form.colour == PNG_COLOR_TYPE_GRAY) form.transparent_grey = 1;
    const Bytes row(static_cast<std::size_t>(form.width) * 8, 17);
    put(place("png", std::to_string(i)),
        code_png(form, std::vector<Bytes>(static_cast<std::size_t>(form.height), row)));
  }
#ifdef LONGSTRIDE_HAS_JPEGLIB
  for (const int channels : {1, 3, 4}) {
    for (const bool progressive : {false, true}) {
      const std::string name = std::to_string(channels) + (progressive ? "-progressive" : "");
      put(place("jpeg", name), code_jpeg(ramp(17, 9, channels), 60, progressive));
    }
  }
  seed("prompt", "jpeg", "\x01" + get(place("jpeg", "3")));
#endif
  seed("prompt", "png", "\x0d" + get(place("png", "3")));
  seed("prompt", "text", std::string(1, '\0') + "#include <");
}

void seed_arrays() {
  seed("array", "cifar", std::string(3073, 'c'));
  seed("array", "cifar-2", std::string(2 * 3073, 'c'));
  seed("array", "raw", std::string(48, 'r'));
  const std::string shape = "'fortran_order': False, 'shape': (2, 2, 2, 3), }";
  const std::string header = "{'descr': '|u1', " + shape + "\n";
  const std::string length{static_cast<char>(header.size()), '\0'}, zeros(2, '\0');
  const std::string pixels(24, 'p');
  seed("npy", "1", "\x93NUMPY\x01" + zeros.substr(1) + length + header + pixels);
  seed("npy", "2", "\x93NUMPY\x02" + zeros.substr(1) + length + zeros + header + pixels);
  seed("prompt", "npy", "\x01" + get(place("npy", "1")));
}

void seed_sounds() {
#ifdef LONGSTRIDE_HAS_SNDFILE
  const auto make = [](const std::string& name, int format, int channels, int rate) {
    std::vector<double> samples;
    for (int i = 0; i < 300 * channels; ++i) samples.push_back((i * 37 % 100) / 128.0);
    put_sound(place("sound", name), format, rate, channels, samples);
  };
  const std::vector<std::pair<const char*, int>> wavs = {
      {"u8", SF_FORMAT_PCM_U8},     {"16", SF_FORMAT_PCM_16},     {"24", SF_FORMAT_PCM_24}, {"32", SF_FORMAT_PCM_32},
      {"float", SF_FORMAT_FLOAT},   {"double", SF_FORMAT_DOUBLE}, {"ulaw", SF_FORMAT_ULAW}, {"alaw", SF_FORMAT_ALAW},
      {"ima", SF_FORMAT_IMA_ADPCM}, {"ms", SF_FORMAT_MS_ADPCM},   {"gsm", SF_FORMAT_GSM610}};
  for (const auto& [name, coding] : wavs) make(std::string("wav-") + name, SF_FORMAT_WAV | coding, 1, 12000);
  make("wav-stereo", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 2, 44100);
  make("wavex", SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 2, 8000);
  make("rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 1, 12000);
  for (const auto& [name, coding] :
       {std::pair{"8", SF_FORMAT_PCM_S8}, {"16", SF_FORMAT_PCM_16}, {"24", SF_FORMAT_PCM_24}})
    make(std::string("flac-") + name, SF_FORMAT_FLAC | coding, 2, 16000);
  seed("prompt", "sound", "\x02" + get(place("sound", "wav-16")));
  seed("prompt", "flac", "\x02" + get(place("sound", "flac-16")));
#endif
}

void seed_manifest() {
  const Scratch scratch;
  put(scratch / "source", "what the data are made from");
  const auto decode = [](AtomicFile& out) {
    out.append(as_bytes("data"));
    return Decoding{{{"left", "out"}}, {"a note"}};
  };
  const std::string data = open_or_decode({scratch / "cache", {}}, "recipe", {scratch / "source"}, decode).path;
  seed("manifest", "whole", get(fs::path(data).replace_extension(".json").string()));
}

}  // namespace
}  // namespace longstride

int main(int count, char** words) {
  using namespace longstride;
  if (count != 2) {
    std::fputs("fuzz_seeds FOLDER\n", stderr);
    return 2;
  }
  root = words[1];
  seed_tensors();
  seed_checkpoints();
  seed_texts();
  seed_pictures();
  seed_arrays();
  seed_sounds();
  seed_manifest();
  return 0;
}
