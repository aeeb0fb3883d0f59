// io/sound.h where the build has no libsndfile.
#include <fmt/format.h>

#include "io/sound.h"
#include "longstride/error.h"

namespace longstride {

struct SoundReader::File {};

SoundReader::SoundReader(const std::string& path) {
  throw Error(
      ErrorKind::unavailable,
      fmt::format("\"{}\" is sound, and this build has no libsndfile; build again where it is installed", path));
}

SoundReader::~SoundReader() = default;
int SoundReader::rate() const { return 0; }
std::size_t SoundReader::read(std::span<double>) { return 0; }

}  // namespace longstride
