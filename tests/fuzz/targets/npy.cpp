// Pictures as numpy saves them.
#include "data/npy.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

void read_array(Input bytes) {
  const NpyPictures npy = read_npy(bytes, "array.npy", static_cast<std::int64_t>(bytes.size()), {});
  const std::int64_t pixels = npy.count * npy.height * npy.width * npy.channels;
  require(npy.first_byte + pixels == static_cast<std::int64_t>(bytes.size()), "the pictures fill their file");
}

const Registered kNpy("npy", read_array);

}  // namespace
}  // namespace longstride::fuzz
