// A picture at another size: centre crop, then box filter.
#pragma once

#include <cstdint>

#include "longstride/image.h"

namespace longstride {

// The largest part of the target's aspect in the picture's middle, in whole pixels (its shorter excess side rounded to
// the nearest, its corner rounded down), then each pixel the mean of those whose centres lie in its box, rounded; where
// the picture is smaller than the target, the nearest pixel. Within one level of Pillow's crop and resize with BOX,
// which rounds once more between its two passes. height, width >= 1.
Image crop_and_resize(const Image& image, std::int64_t height, std::int64_t width);

// With 3 channels for 1 each grey three times; with 1 for 3 (19595 R + 38470 G + 7471 B) / 65536, rounded.
Image with_channels(Image image, int channels);

}  // namespace longstride
