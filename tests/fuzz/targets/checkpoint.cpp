// A run's checkpoint, found and described: the file's metadata, its configuration, its tensors against that.
#include "longstride/checkpoint.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

// The same bytes as both files of a checkpoint: what is asked of their metadata differs.
void read_checkpoint(Input bytes) {
  as_file(bytes, "run/checkpoints/000000001/state.safetensors");
  as_file(bytes, "run/checkpoints/000000001/model.safetensors");
  const std::string model = find_checkpoint(folder() + "/run", "best");
  require(model == folder() + "/run/checkpoints/000000001/model.safetensors", "the best checkpoint is one of the run");
  describe_checkpoint(model);
}

const Registered kCheckpoint("checkpoint", read_checkpoint);

}  // namespace
}  // namespace longstride::fuzz
