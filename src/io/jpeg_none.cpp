// decode_jpeg of io/picture.h where the build has no libjpeg.
#include <fmt/format.h>

#include "io/picture.h"
#include "longstride/error.h"

namespace longstride {

Image decode_jpeg(std::span<const std::uint8_t>, const std::string& name) {
  throw Error(ErrorKind::unavailable,
              fmt::format("\"{}\" is a JPEG, and this build has no libjpeg; build again where it is installed", name));
}

}  // namespace longstride
