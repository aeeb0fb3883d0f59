// Why a WAV cannot be read, in words of its chunks: libsndfile's own name its inside.
#pragma once

#include <string>

#include "io/file.h"

namespace longstride {

// To follow the name of a file that its reader has refused: "is a damaged WAV: ...", "is a WAV of a kind that is not
// read: ...". reason: the reader's words, for faults that the chunks do not show.
std::string wav_fault(const InputFile& file, const std::string& reason);

}  // namespace longstride
