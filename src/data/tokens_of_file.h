// One file as the tokens that training would make of it: what a prompt begins with, what attention is looked at on.
// Prompts come this way too. Nothing is cached.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "longstride/config.h"

namespace longstride {

// data: of a run, kind, image_size and channels as they were found. Of pictures the file's first, whole; of text and
// sound the first `most` tokens. Errors: invalid_argument where the file is missing, no file, or data does not say what
// pictures it has, or the file is of another kind, by its name or its first bytes; corrupt_data where it is empty or
// cannot be read (data.unreadable does not matter: it is the only one); unavailable where the build cannot read it.
std::vector<std::uint8_t> tokens_of_file(const std::string& path, const DataConfig& data,
                                         std::int64_t most = std::numeric_limits<std::int64_t>::max());

}  // namespace longstride
