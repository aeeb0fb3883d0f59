// Which pictures files hold, found out without decoding them, and one of them decoded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/decoded.h"
#include "longstride/config.h"
#include "longstride/image.h"

namespace longstride {

struct PictureShape {
  std::int64_t height = 0, width = 0;
  std::int64_t channels = 0;  // 1 grey, 3 RGB
  std::int64_t bytes() const { return height * width * channels; }
  std::string words() const;  // "32 x 32 x 3": height, width, channels
  bool operator==(const PictureShape&) const = default;
};

struct PictureFile {
  enum class Form {
    coded,  // PNG or JPEG: one picture, of a shape that is known once it is decoded
    array,  // .npy or raw: `count` pictures of `shape`, from `first_byte` to the file's end
    cifar,  // records of a label and the planes red, green, blue of 32 x 32
  };
  std::string path;
  Form form = Form::coded;
  std::int64_t count = 1;
  std::int64_t first_byte = 0;
  PictureShape shape;
};

struct PictureFiles {
  std::vector<PictureFile> files;  // in order; CIFAR-10's in the official one
  PictureShape shape;              // that every picture is brought to
  Decoding found;                  // what was left out so far, and what there is to say
  bool cifar = false;              // CIFAR-10: its own parts, not shares
  std::int64_t count() const;      // pictures in all files
};

// True for the names of CIFAR-10's six binary files.
bool is_cifar_batch(const std::string& path);

// Looks into every file. Errors: corrupt_data for the first that holds no picture or is cut (with data.unreadable =
// skip it is left out instead); invalid_argument where data.image_size is needed, or CIFAR-10 and other pictures come
// together.
PictureFiles find_pictures(const std::vector<std::string>& files, const DataConfig& config);

// Picture `index` of a file, upright, neither cropped nor resized. Errors: as decode_png and decode_jpeg.
Image load_picture(const PictureFile& file, std::int64_t index);

// Throws invalid_argument where model.context is not one picture, or model.positions are not its extents (neighbouring
// ones may be one: [32, 96] for 32 x 32 x 3). has_weights: the model is of weights that are there, so that the pictures
// are what is wrong.
void check_fit(const PictureShape& shape, const ModelConfig& model, bool has_weights = false);

}  // namespace longstride
