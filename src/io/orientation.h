// How a camera was held: the orientation that Exif data note (tag 274 of Exif 2.32, section 4.6.4), and pictures turned
// by it, as every viewer does.
#pragma once

#include <cstdint>
#include <span>

#include "longstride/image.h"

namespace longstride {

// 1 (as it lies) to 8. exif: a TIFF file, "II*\0" or "MM\0*" first. 1 where it says nothing, or nothing that can be
// read.
int exif_orientation(std::span<const std::uint8_t> exif);

// The picture with its top above and its left side to the left. orientation: 1 to 8.
Image upright(Image image, int orientation);

}  // namespace longstride
