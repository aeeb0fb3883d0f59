// Files to bytes: pictures and sound, one file or whole data sets at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "data/decoded.h"
#include "data/picture_files.h"
#include "longstride/config.h"

namespace longstride {

// Picture `index` of a file, cropped, resized and brought to `shape`. Errors: as load_picture.
Image decode_picture(const PictureFile& file, std::int64_t index, const PictureShape& shape);

// Appends every picture in order, as decode_picture makes it; decodes on all cores. Says what was
// left out beyond pictures.found. Errors: as load_picture where `unreadable` is error; exhausted where `stop` (may be
// null) is set.
Decoding decode_pictures(const PictureFiles& pictures, Unreadable unreadable, const std::atomic<bool>* stop,
                         AtomicFile& out);

// The mu-law codes of a file at config.sample_rate and with config.gain, the first `most` of them. Errors: as
// SoundReader and Resampler; corrupt_data where its rate is too far from that one to be resampled.
std::vector<std::uint8_t> decode_sound(const std::string& path, const DataConfig& config, std::int64_t most);

// Appends the mu-law codes of every file in order, at config.sample_rate and with config.gain, a block at a time.
// Errors: as decode_sound, corrupt_data where config.unreadable is error; exhausted where `stop` is set.
Decoding decode_sounds(const std::vector<std::string>& files, const DataConfig& config, const std::atomic<bool>* stop,
                       AtomicFile& out);

// How many codes decode_sounds would make, counted up to `most`; what lies beyond is looked into and not decoded.
// Errors: the same; corrupt_data where none of the files can be read.
std::int64_t count_sound(const std::vector<std::string>& files, const DataConfig& config, std::int64_t most);

}  // namespace longstride
