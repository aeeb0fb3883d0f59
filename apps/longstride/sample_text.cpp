// Samples as text: the first streams, bytes untouched, while the others are made beside it.
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "longstride/file.h"
#include "output.h"
#include "sample_output.h"

namespace longstride::program {
namespace {

std::string_view text_of(const std::vector<std::uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string hex(const std::vector<std::uint8_t>& bytes) {
  std::string digits;
  for (const std::uint8_t byte : bytes) digits += fmt::format("{:02x}", byte);
  return digits;
}

class TextOutput : public SampleOutput {
 public:
  explicit TextOutput(const SampleTask& task) : task_(task), streams_(!task.json && task.out.empty()) {
    if (!task.out.empty()) place_.emplace(task.out, ".txt", task.options.count, true);
  }

  bool streams() const override { return streams_; }

  void begin() override {
    if (streams_ && task_.options.count > 1)
      task_.line.print(fmt::format("--- sample 1 of {} ---", task_.options.count));
  }

  void made(std::int64_t sequence, std::uint8_t token) override {
    if (sequence != 0 || !streams_) return;
    print_prompt();
    print(std::string_view(reinterpret_cast<const char*>(&token), 1));
  }

  void finish(const Sequences& sequences, bool interrupted) override {
    if (streams_) return print_rest(sequences);
    if (!place_ || interrupted) return;
    for (std::size_t index = 0; index < sequences.size(); ++index) {
      write_file_atomically(place_->single(static_cast<std::int64_t>(index)), text_of(sequences[index]));
    }
  }

  std::string left() const override {
    if (streams_) return "what was made until then is printed";
    return place_ ? "no file was written" : "no result was printed";
  }

  // text has U+FFFD for what is no UTF-8, hex has every byte; both begin with the prompt.
  void tell(nlohmann::ordered_json& json, const Sequences& sequences) const override {
    nlohmann::ordered_json& samples = json["samples"] = nlohmann::ordered_json::array();
    for (const std::vector<std::uint8_t>& bytes : sequences) {
      samples.push_back({{"text", std::string(text_of(bytes))}, {"hex", hex(bytes)}});
    }
  }

 private:
  void print_prompt() {
    if (!prompt_printed_) print(text_of(task_.options.prompt(0)));
    prompt_printed_ = true;
  }

  // The others follow when the first ends. What separates them goes to standard error, so that standard output has the
  // bytes of the samples and no other.
  void print_rest(const Sequences& sequences) {
    print_prompt();
    task_.line.finish();
    for (std::size_t index = 1; index < sequences.size(); ++index) {
      task_.line.print(fmt::format("\n--- sample {} of {} ---", index + 1, sequences.size()));
      print(text_of(sequences[index]));
    }
    if (task_.alone && ::isatty(STDOUT_FILENO) == 1) print("\n");
  }

  SampleTask task_;
  bool streams_;
  bool prompt_printed_ = false;
  std::optional<SamplePlace> place_;
};

}  // namespace

std::unique_ptr<SampleOutput> make_text_output(const SampleTask& task) { return std::make_unique<TextOutput>(task); }

}  // namespace longstride::program
