// TensorBoard's event files: TFRecord frames around protocol buffers, encoded by hand (field numbers in the source).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "longstride/image.h"
#include "longstride/sound.h"

namespace longstride {

// Of a run, by name: what TensorBoard's table of runs shows beside their figures.
using Hyperparameters = std::vector<std::pair<std::string, std::variant<double, std::string>>>;

class EventWriter {
 public:
  // Makes `directory` (one level) where it is missing, and in it a file events.out.tfevents.SECONDS.HOST.PID.COUNTER.
  // first_step > 0: a resumed run; TensorBoard then forgets what earlier files hold at that step and beyond.
  explicit EventWriter(const std::string& directory, std::int64_t first_step = 0);
  ~EventWriter();
  EventWriter(EventWriter&& other) noexcept;
  EventWriter& operator=(EventWriter&& other) noexcept;

  const std::string& path() const { return path_; }

  // Each is in the file when the call returns. Errors: exhausted.
  void scalar(std::string_view tag, std::int64_t step, double value);          // stored as a float
  void text(std::string_view tag, std::int64_t step, std::string_view words);  // shown as Markdown; bytes that are not
                                                                               // UTF-8 become U+FFFD
  void image(std::string_view tag, std::int64_t step, const Image& picture);
  void audio(std::string_view tag, std::int64_t step, const Sound& sound);  // as a WAV

  void hyperparameters(const Hyperparameters& values);

 private:
  void event(std::int64_t step, int field, std::string_view payload);
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace longstride
