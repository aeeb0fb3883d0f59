// Pictures that lie uncoded in a file: the same bytes as CIFAR-10's records and as a raw array of 4 x 4.
#include "data/decode.h"

#include "fuzz/harness.h"
#include "longstride/error.h"

namespace longstride::fuzz {
namespace {

void load(const std::string& path, const DataConfig& config) {
  const PictureFiles found = find_pictures({path}, config);
  const PictureFile& file = found.files.front();
  require(file.count >= 1, "a file of pictures holds some");
  for (const std::int64_t index : {std::int64_t{0}, file.count - 1}) {
    const Image image = decode_picture(file, index, found.shape);
    require(static_cast<std::int64_t>(image.bytes.size()) == found.shape.bytes(), "a picture has its shape");
  }
}

void read_arrays(Input bytes) {
  DataConfig config;
  try {
    load(as_file(bytes, "data_batch_1.bin"), config);
  } catch (const Error&) {
    // No records: it may still be an array.
  }
  config.image_size = {4, 4};
  config.channels = 1;
  load(as_file(bytes, "array.bin"), config);
}

const Registered kArray("array", read_arrays);

}  // namespace
}  // namespace longstride::fuzz
