// Where a run stands, data mark included: the metadata of state.safetensors that `train --resume` goes on from.
#include "train/progress.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

void go_on(Input bytes) {
  const Progress progress = read_progress(SafetensorsFile(as_file(bytes, "state.safetensors")));
  difference_words(progress.data, {});
}

const Registered kProgress("progress", go_on);

}  // namespace
}  // namespace longstride::fuzz
