// Where a FLAC ends, and whether one that does not say how many samples it has ends with a whole frame.
#pragma once

#include <cstdint>

#include "io/file.h"

namespace longstride {

// What is to be read of a file: all, but for an ID3v1 tag behind the last frame of a FLAC that does not know its
// length. Error corrupt_data where the last frame of such a one does not end there. Of those that know it readers find
// out by counting, and other files are none of its business.
std::int64_t flac_end(const InputFile& file);

}  // namespace longstride
