// Samples as text: the first streams while the others are made beside it. Bytes are untouched, unless a terminal would
// take them for commands.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "longstride/error.h"
#include "longstride/file.h"
#include "output.h"
#include "sample_output.h"
#include "words.h"

namespace longstride::program {
namespace {

std::string_view text_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string digits;
  for (const std::uint8_t byte : bytes) digits += fmt::format("{:02x}", byte);
  return digits;
}

class TextOutput : public SampleOutput {
 public:
  explicit TextOutput(const SampleTask& task) : task_(task), terminal_(task.alone && ::isatty(STDOUT_FILENO) == 1) {
    refuse_picture_options(task);
    const bool named = task.out == kStandardOutput;
    streams_ = !task.json && (task.out.empty() || named);
    if (!task.out.empty() && !named) place_.emplace(task, FileForm::text);
  }

  bool streams() const override { return streams_; }

  void made(std::int64_t sequence, std::uint8_t token) override {
    if (sequence != 0 || !streams_) return;
    print_prompt();
    show({&token, 1});
  }

  void finish(const Sequences& sequences, bool interrupted) override {
    if (streams_) return print_rest(sequences);
    if (!place_ || interrupted) return;
    for (std::size_t index = 0; index < sequences.size(); ++index)
      write_file_atomically(place_->single(static_cast<std::int64_t>(index)), text_of(told(sequences, index)));
    task_.line.print(written_words(sequences));
  }

  std::string left() const override {
    if (streams_) return "what was made until then is printed";
    return place_ ? "no file was written" : "no result was printed";
  }

  // text has U+FFFD for what is no UTF-8, hex has every byte.
  void tell(nlohmann::ordered_json& json, const Sequences& sequences) const override {
    nlohmann::ordered_json& samples = json["samples"] = nlohmann::ordered_json::array();
    for (std::size_t index = 0; index < sequences.size(); ++index) {
      const std::span<const std::uint8_t> bytes = told(sequences, index);
      samples.push_back({{"text", std::string(text_of(bytes))}, {"hex", hex(bytes)}});
      if (place_) samples.back()["file"] = place_->single(static_cast<std::int64_t>(index));
    }
  }

 private:
  std::string written_words(const Sequences& sequences) const {
    const std::int64_t count = std::ssize(sequences);
    if (count == 1)
      return fmt::format("wrote {}: {}", escaped(place_->single(0)), counted(std::ssize(told(sequences, 0)), "byte"));
    return fmt::format("wrote {} to {}: {}", escaped(place_->single(0)), escaped(place_->single(count - 1)),
                       counted(count, "text"));
  }

  // What is told of a sequence: all of it, or what was made alone.
  std::span<const std::uint8_t> told(const Sequences& sequences, std::size_t index) const {
    const std::size_t given = task_.show.no_echo ? task_.options.prompt(static_cast<std::int64_t>(index)).size() : 0;
    return std::span(sequences[index]).subspan(std::min(given, sequences[index].size()));
  }

  void show(std::span<const std::uint8_t> bytes) {
    print(terminal_ ? printable_.add(text_of(bytes)) : std::string(text_of(bytes)));
  }
  void end_shown() {
    if (terminal_) print(printable_.rest());
  }

  void print_prompt() {
    if (!prompt_printed_ && !task_.show.no_echo) show(task_.options.prompt(0));
    prompt_printed_ = true;
  }

  // The others follow when the first ends.
  void print_rest(const Sequences& sequences) {
    print_prompt();
    end_shown();
    task_.line.finish();
    for (std::size_t index = 1; index < sequences.size(); ++index) {
      print(task_.show.separator.value_or(fmt::format("\n--- sample {} of {} ---\n", index + 1, task_.options.count)));
      show(told(sequences, index));
      end_shown();
    }
    if (terminal_) print("\n");
  }

  SampleTask task_;
  bool streams_ = false;
  bool terminal_;
  bool prompt_printed_ = false;
  PrintableText printable_;
  std::optional<SamplePlace> place_;
};

}  // namespace

std::unique_ptr<SampleOutput> make_text_output(const SampleTask& task) { return std::make_unique<TextOutput>(task); }

}  // namespace longstride::program
