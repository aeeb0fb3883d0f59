// This decodes the pictures of all files on several threads, each brought to the configured size.
#include <algorithm>

#include "data/crop_resize.h"
#include "data/decode.h"
#include "data/parallel.h"
#include "longstride/error.h"

namespace longstride {
namespace {

constexpr std::int64_t kChunkBytes = 32 << 20;  // decoded together, then written

struct Place {
  const PictureFile* file = nullptr;
  std::int64_t index = 0;  // within the file
};

// Walks over all pictures of all files.
class Walk {
 public:
  explicit Walk(const PictureFiles& pictures) : pictures_(pictures) {}

  // The next pictures, at most `most`; none at the end.
  std::vector<Place> take(std::int64_t most) {
    std::vector<Place> places;
    while (static_cast<std::int64_t>(places.size()) < most && file_ < pictures_.files.size()) {
      const PictureFile& file = pictures_.files[file_];
      if (index_ < file.count) {
        places.push_back({&file, index_++});
      } else {
        ++file_;
        index_ = 0;
      }
    }
    return places;
  }

 private:
  const PictureFiles& pictures_;
  std::size_t file_ = 0;
  std::int64_t index_ = 0;
};

}  // namespace

Image decode_picture(const PictureFile& file, std::int64_t index, const PictureShape& shape) {
  const Image image = crop_and_resize(load_picture(file, index), shape.height, shape.width);
  return with_channels(image, static_cast<int>(shape.channels));
}

Decoding decode_pictures(const PictureFiles& pictures, Unreadable unreadable, const std::atomic<bool>* stop,
                         AtomicFile& out) {
  const PictureShape& shape = pictures.shape;
  const std::int64_t chunk = std::max<std::int64_t>(64, kChunkBytes / shape.bytes());
  Decoding decoding;
  Walk walk(pictures);
  for (std::vector<Place> places; !(places = walk.take(chunk)).empty();) {
    std::vector<std::vector<std::uint8_t>> made(places.size());
    std::vector<std::string> reasons(places.size());
    in_parallel(static_cast<std::int64_t>(places.size()), [&](std::int64_t slot) {
      const auto at = static_cast<std::size_t>(slot);
      if (stop != nullptr && stop->load()) throw Error(ErrorKind::stopped, "data: stopped before all was decoded");
      try {
        made[at] = decode_picture(*places[at].file, places[at].index, shape).bytes;
      } catch (const Error& error) {
        if (unreadable != Unreadable::skip || error.kind() != ErrorKind::corrupt_data) throw;
        reasons[at] = error.what();
      }
    });
    for (std::size_t at = 0; at < places.size(); ++at) {
      out.append(made[at]);
      if (!reasons[at].empty()) decoding.left_out.push_back({places[at].file->path, reasons[at]});
    }
  }
  return decoding;
}

}  // namespace longstride
