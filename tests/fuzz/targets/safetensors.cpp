// Tensors of any file, as every reader of checkpoints meets them first.
#include "io/safetensors.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

void read_tensors(Input bytes) {
  const SafetensorsFile file(as_file(bytes, "tensors.safetensors"));
  std::int64_t total = 0;
  unsigned sum = 0;
  for (const TensorEntry& tensor : file.tensors()) {
    require(file.find(tensor.name) == &tensor, "a tensor is found by its name");
    const std::vector<std::uint8_t> read = file.read(tensor);
    total += static_cast<std::int64_t>(read.size());
    for (const std::uint8_t byte : read) sum += byte;
  }
  require(total <= file.size() && sum <= 255u * static_cast<unsigned>(file.size()), "tensors lie within their file");
  file.verify();
}

const Registered kSafetensors("safetensors", read_tensors);

}  // namespace
}  // namespace longstride::fuzz
