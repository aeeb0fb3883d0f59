// What a run's folder must hold before a session goes on with it. Nothing here changes anything.
#pragma once

#include <string>

namespace longstride {

// Throws where config.json or log.jsonl is no plain file, and where a folder of the run is a link that leads nowhere: a
// disk that is not there. Errors: invalid_argument; exhausted.
void require_run_parts(const std::string& run);

// Throws where a run without a checkpoint has had some: it would start from the beginning, and its log with it. One
// that was killed before its first has none to lose, nor has one whose checkpoints were set aside as it diverged.
// Error corrupt_data.
void require_none_lost(const std::string& run);

}  // namespace longstride
