// gradients_dump MODEL.safetensors BYTES OUT.safetensors [--recompute]: the loss and every gradient of one batch, for
// test_gradients.py to compare with autograd. The batch is as many whole contexts as BYTES holds.
#include <cmath>
#include <cstring>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "io/file.h"
#include "io/safetensors.h"
#include "model/checkpoint.h"
#include "model/network.h"
#include "ops/backend.h"

namespace {

using namespace longstride;

template <typename T>
StoredTensor stored(std::string name, const char* dtype, std::vector<std::int64_t> shape, const T* values,
                    std::int64_t count) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(values);
  return {std::move(name), dtype, std::move(shape), {bytes, static_cast<std::size_t>(count) * sizeof(T)}};
}

void dump(const std::string& model_path, const std::string& data_path, const std::string& out, bool recompute) {
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  const LoadedModel model = load_model(*backend, model_path, DType::float32);
  const std::vector<std::uint8_t> data = InputFile(data_path).all();
  const std::int64_t T = model.config.model.context, B = data.size() / T;
  const std::vector<std::int32_t> tokens(data.begin(), data.begin() + B * T);

  Buffer gradients(*backend, model.table.store_elements() * 4);
  backend->zero(gradients.data(), gradients.bytes());
  const TrainingOutputs outputs{{&model.table, gradients.f32(), nullptr}, {}};
  Network network(*backend, model.config.model, {B, T, DType::float32, true, recompute}, model.weights(), outputs);
  Pass pass;
  pass.batch = B;
  pass.tokens = tokens.data();
  pass.gradient = static_cast<float>(1.0 / static_cast<double>(B * T));
  std::vector<float> bits(tokens.size());
  network.forward_backward(pass, bits.data());

  std::vector<float> values(static_cast<std::size_t>(model.table.store_elements()));
  backend->download(values.data(), gradients.data(), gradients.bytes());
  const double mean_bits = std::accumulate(bits.begin(), bits.end(), 0.0) / static_cast<double>(bits.size());
  const auto loss = static_cast<float>(mean_bits * std::log(2.0));  // nats
  std::vector<StoredTensor> tensors = {stored("tokens", "I32", {B, T}, tokens.data(), B * T),
                                       stored("loss", "F32", {}, &loss, 1)};
  for (const Parameter& parameter : model.table.entries())
    tensors.push_back(
        stored("d." + parameter.name, "F32", parameter.shape, values.data() + parameter.offset, parameter.count));
  write_safetensors(out, {}, tensors);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "gradients_dump MODEL.safetensors BYTES OUT.safetensors [--recompute]\n";
    return 2;
  }
  try {
    dump(argv[1], argv[2], argv[3], argc > 4 && std::strcmp(argv[4], "--recompute") == 0);
  } catch (const std::exception& error) {
    std::cerr << "gradients_dump: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
