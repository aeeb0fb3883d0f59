// Processes that train together were started alike, or all of them refuse.
#pragma once

#include "longstride/config.h"
#include "longstride/train.h"
#include "parallel/world.h"

namespace longstride {

// asked: the configuration that this process was started with, of which the places of data, threads and device are its
// own affair; not looked at where options say to resume. All call it. Error invalid_argument, the same in all.
void require_same_start(World& world, const Config& asked, const TrainOptions& options);

}  // namespace longstride
