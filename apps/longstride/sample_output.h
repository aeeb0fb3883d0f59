// What becomes of the tokens, by what the model has learned from: text streams to standard output or into files,
// pictures become PNG, sound WAV as it is made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "command_line.h"
#include "longstride/config.h"
#include "longstride/image.h"
#include "longstride/sample.h"
#include "output_file.h"
#include "progress.h"

namespace longstride::program {

using Sequences = std::vector<std::vector<std::uint8_t>>;

class SampleOutput {
 public:
  virtual ~SampleOutput() = default;
  virtual bool streams() const { return false; }  // to standard output, which then shows how far it is
  virtual void made(std::int64_t sequence, std::uint8_t token) = 0;  // each new one, in order of position
  // All of them, prompts included; where it was interrupted they are shorter, or fewer, than was asked.
  virtual void finish(const Sequences& sequences, bool interrupted) = 0;
  virtual std::string left() const = 0;  // after finish: what an interruption left, "no picture was written"
  // After finish: adds the list `samples`, and what else there is to tell.
  virtual void tell(nlohmann::ordered_json& json, const Sequences& sequences) const = 0;
};

// How samples are shown.
struct ShowOptions {
  bool no_echo = false;                  // of a text without what was given
  std::optional<std::string> separator;  // between texts on standard output
  std::int64_t scale = 1;                // pixels of the file for one of a picture, down and across
};
void add_show_options(CommandLine app, ShowOptions& options);

// What they share: the options, what the model has learned from, and the place for words.
struct SampleTask {
  const SampleOptions& options;
  DataConfig data;
  std::optional<Image> original;    // the picture that was given
  std::string out;                  // --out
  std::vector<std::string> inputs;  // files that are read, and stay what they are
  bool json = false;
  ShowOptions show;
  ProgressLine& line;
  bool alone = true;  // else a launcher carries standard output on, which it may have made look like a terminal
};

// Throws invalid_argument where an option is given that is for texts, or for pictures.
void refuse_text_options(const SampleTask& task);
void refuse_picture_options(const SampleTask& task);

std::unique_ptr<SampleOutput> make_text_output(const SampleTask& task);
std::unique_ptr<SampleOutput> make_picture_output(const SampleTask& task);
std::unique_ptr<SampleOutput> make_sound_output(const SampleTask& task);

// Files of `count` samples: PATH, numbered ones beside it, or numbered ones in a folder. Without PATH, names in the
// working directory that are free: nothing that is there, or that another process makes meanwhile, is replaced unasked.
class SamplePlace {
 public:
  // Of --out and --count. PATH is a folder where it is one or ends in a slash, which is then made. form: png, wav or
  // text; PATH must have its ending, or for text none of another. Errors: invalid_argument where it has not, else as
  // check_output.
  SamplePlace(const SampleTask& task, FileForm form);
  ~SamplePlace();  // removes names that were taken and not written
  SamplePlace(const SamplePlace&) = delete;
  SamplePlace& operator=(const SamplePlace&) = delete;

  std::string whole() const;                     // of all of them: PATH, or grid.png in the folder
  std::string single(std::int64_t index) const;  // of one of several, or the only one
  bool folder() const { return folder_; }

  // The same, to be written now. The first one settles which names are free, and none is replaced. Error exhausted
  // where one was made by another program since then.
  std::string take_whole();
  std::string take_single(std::int64_t index);

 private:
  void check_form(FileForm form) const;
  std::string numbered(std::int64_t index) const;
  void find_free();
  void settle();
  void take(const std::string& file);
  bool make(const std::string& file);

  std::filesystem::path path_;
  std::string ending_;
  std::int64_t count_;
  bool asked_ = true;    // for these names
  bool settled_ = true;  // nobody else will take them
  bool folder_ = false;
  std::set<std::string> taken_;  // empty files where no others were, until they are written
};

}  // namespace longstride::program
