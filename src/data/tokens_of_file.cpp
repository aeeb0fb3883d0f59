// This decodes one file for a prompt by the code that decodes files for training.
#include "data/tokens_of_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "data/decode.h"
#include "data/files.h"
#include "io/file.h"
#include "longstride/error.h"
#include "longstride/file.h"

namespace longstride {
namespace {

std::vector<std::uint8_t> picture_tokens(const std::string& path, DataConfig data) {
  if (data.image_size.size() != 2 || data.channels < 1) {
    throw Error(ErrorKind::invalid_argument,
                "data.image_size: the run does not say which pictures it has; needs image_size and channels");
  }
  data.unreadable = Unreadable::error;
  const PictureFiles found = find_pictures({path}, data);
  return decode_picture(found.files.front(), 0, {data.image_size[0], data.image_size[1], data.channels}).bytes;
}

std::vector<std::uint8_t> bytes_of(const std::string& path, std::int64_t most) {
  const InputFile file(path);
  const std::vector<std::uint8_t> first = file.beginning(12);
  const std::string media = media_words({reinterpret_cast<const char*>(first.data()), first.size()});
  if (!media.empty()) throw_invalid(fmt::format("\"{}\" is {}, and the model has learned from text", path, media));
  return file.beginning(most);
}

}  // namespace

std::vector<std::uint8_t> tokens_of_file(const std::string& path, const DataConfig& data, std::int64_t most) {
  refuse_empty({path});
  try {
    if (data.kind == "image") return picture_tokens(path, data);
    if (data.kind == "sound") return decode_sound(path, data, most);
    return bytes_of(path, most);
  } catch (const Error& error) {
    if (are_wrong_files(error, {path}, data.kind)) throw_invalid(error.what());
    throw;
  }
}

}  // namespace longstride
