// A file that a sample begins with: the first byte says what the model learned from, the others are the file.
#include "data/tokens_of_file.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

void read_prompt(Input bytes) {
  if (bytes.empty()) return;
  const std::uint8_t choice = bytes.front();
  const std::string path = as_file(bytes.subspan(1), "prompt");
  DataConfig data;
  data.image_size = {1 + (choice >> 2) % 8, 1 + (choice >> 5)};
  data.channels = (choice & 4) != 0 ? 1 : 3;
  const std::vector<const char*> kinds = {"text", "image", "sound"};
  data.kind = kinds[choice % kinds.size()];
  if (data.kind == "image") {
    const auto tokens = static_cast<std::int64_t>(tokens_of_file(path, data).size());
    require(tokens == data.image_size[0] * data.image_size[1] * data.channels, "a picture is brought to its shape");
  } else {
    constexpr std::int64_t kMost = 1000;
    const auto tokens = static_cast<std::int64_t>(tokens_of_file(path, data, kMost).size());
    require(tokens >= 1 && tokens <= kMost, "as many tokens as were asked for");
  }
}

const Registered kPrompt("prompt", read_prompt);

}  // namespace
}  // namespace longstride::fuzz
