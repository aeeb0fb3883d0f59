// Which folder is a run.
#pragma once

#include <string>

#include "longstride/checkpoint.h"

namespace longstride {

// Whether there is a run at `path` to go on with or to replace: a config.json, or checkpoints that know what was in it.
// One that is being replaced is none any more. Error exhausted where the system does not say.
bool holds_run(const std::string& path);

}  // namespace longstride
