// What does a device give at best? device [--device D] [--runs R]: the best product of square matrices in both number
// formats (its time is said as that of squares of 8,192), and the rate at which it copies its own memory (bytes read
// and written). Other figures are shares of these. Prints a JSON line each.
#include <CLI/CLI.hpp>

#include "harness.h"
#include "longstride/error.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace {

using namespace longstride;

void measure(Device device, int runs) {
  const std::unique_ptr<Backend> backend = make_backend(device);
  const Facts facts = backend->facts();
  for (const DType type : {DType::bfloat16, DType::float32}) {
    if (type == DType::bfloat16 && !facts.bfloat16) continue;
    const double rate = backend->product_rate(type);  // measured once, and remembered
    constexpr double kSize = 8192;
    bench::print({{kSize * kSize * kSize / rate}, {}}, {{"what", "product"},
                                                        {"type", type == DType::float32 ? "float32" : "bfloat16"},
                                                        {"tflops", 2e-12 * rate},
                                                        {"device", facts.name}});
  }
  const std::int64_t bytes = std::int64_t{1} << (facts.device == "cpu" ? 28 : 30);
  const Buffer from(*backend, bytes), to(*backend, bytes);
  backend->zero(from.data(), bytes);
  const auto copy = [&] {
    backend->copy(to.data(), from.data(), bytes);
    backend->wait();
  };
  const bench::Times times = bench::alternate({copy}, runs).front();
  bench::print(times, {{"what", "copy"},
                       {"tb_per_s", 2e-12 * static_cast<double>(bytes) / bench::median(times.wall_s)},
                       {"device", facts.name},
                       {"memory_bytes", facts.memory_bytes}});
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app{"What does a device give at best?"};
  std::string device = "auto";
  int runs = 9;
  app.add_option("--device", device, "auto, cpu, cuda or cuda:K")->capture_default_str();
  app.add_option("--runs", runs)->capture_default_str()->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  const Device chosen = bench::device_of(device);
  try {
    measure(chosen, runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "device: %s\n", error.what());
    return 1;
  }
  return 0;
}
