// WAV and FLAC to tokens, as a prompt is read: whatever the file's rate and channels are.
#include "data/decode.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

void read_sound_file(Input bytes) {
  constexpr std::int64_t kMost = 100'000;
  const auto tokens = decode_sound(as_file(bytes, "sound.wav"), DataConfig{}, kMost);
  require(!tokens.empty() && static_cast<std::int64_t>(tokens.size()) <= kMost, "as many tokens as were asked for");
}

const Registered kSound("sound", read_sound_file);

}  // namespace
}  // namespace longstride::fuzz
