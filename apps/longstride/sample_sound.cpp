// Samples as sound: each a WAV that grows as it is made and can be played meanwhile. What was given comes first.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "longstride/sound.h"
#include "sample_output.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::size_t kBlock = 256;  // tokens written together

class SoundOutput : public SampleOutput {
 public:
  explicit SoundOutput(const SampleTask& task) : task_(task), place_(task, FileForm::wav) {
    refuse_text_options(task);
    refuse_picture_options(task);
  }

  void made(std::int64_t sequence, std::uint8_t token) override {
    Growing& file = open(sequence);
    file.waiting.push_back(token);
    if (file.waiting.size() >= kBlock) write(file);
    if (++file.made == task_.options.tokens) close(sequence);
  }

  void finish(const Sequences& sequences, bool interrupted) override {
    if (task_.options.tokens == 0 && !interrupted) {  // what was given, alone
      for (std::size_t at = 0; at < sequences.size(); ++at) open(static_cast<std::int64_t>(at));
    }
    while (!files_.empty()) close(files_.begin()->first);
    if (written_ > 0 && !interrupted) task_.line.print(written_words());
  }

  std::string left() const override {
    return written_ == 0 ? "no sound was written" : written_words() + ", as far as it was made";
  }

  void tell(nlohmann::ordered_json& json, const Sequences& sequences) const override {
    nlohmann::ordered_json& samples = json["samples"] = nlohmann::ordered_json::array();
    for (std::size_t at = 0; at < sequences.size(); ++at) {
      samples.push_back({{"file", place_.single(static_cast<std::int64_t>(at))},
                         {"sample_rate", task_.data.sample_rate},
                         {"seconds", seconds(static_cast<std::int64_t>(sequences[at].size()))}});
    }
  }

 private:
  struct Growing {
    WavWriter wav;
    std::vector<std::uint8_t> waiting;  // tokens not written yet
    std::int64_t made = 0;
  };

  double seconds(std::int64_t tokens) const {
    return static_cast<double>(tokens) / static_cast<double>(task_.data.sample_rate);
  }
  std::string written_words() const {
    const std::string last = written_ > 1 ? " to " + escaped(place_.single(written_ - 1)) : "";
    return fmt::format("wrote {}{}: {:.2f} s at {} Hz", escaped(place_.single(0)), last, seconds(longest_),
                       with_commas(task_.data.sample_rate));
  }

  Growing& open(std::int64_t sequence) {
    const auto found = files_.find(sequence);
    if (found != files_.end()) return found->second;
    WavWriter wav(place_.take_single(sequence), task_.data.sample_rate);
    ++written_;
    return files_.emplace(sequence, Growing{std::move(wav), task_.options.prompt(sequence), 0}).first->second;
  }

  void write(Growing& file) {
    file.wav.append(token_sound(task_.data, file.waiting).samples);
    file.waiting.clear();
  }

  void close(std::int64_t sequence) {
    Growing& file = files_.at(sequence);
    write(file);
    file.wav.sync();
    longest_ = std::max(longest_, file.made + static_cast<std::int64_t>(task_.options.prompt(sequence).size()));
    files_.erase(sequence);
  }

  SampleTask task_;
  SamplePlace place_;
  std::map<std::int64_t, Growing> files_;  // those that grow, by sequence
  std::int64_t written_ = 0;               // files in all
  std::int64_t longest_ = 0;               // tokens
};

}  // namespace

std::unique_ptr<SampleOutput> make_sound_output(const SampleTask& task) { return std::make_unique<SoundOutput>(task); }

}  // namespace longstride::program
