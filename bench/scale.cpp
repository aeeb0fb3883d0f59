// What would many processes give? scale [--preset P] [--set key=value]... [--processes N,...] [--links L,...]: the
// model of longstride/plan.h for N processes that each make --rate multiply-adds of a step and move --memory bytes a
// second, joined by links of L gigabytes a second each way. Nothing is measured but rates that are 0: the best product
// of this process, times what steps have of it, and the memory's. Prints a JSON line for every link and number of
// processes.
#include <CLI/CLI.hpp>
#include <exception>
#include <string>
#include <vector>

#include "harness.h"
#include "longstride/plan.h"

namespace {

using namespace longstride;

struct Asked {
  std::string preset = "enwik8";
  std::vector<std::string> sets;
  Rates rates;
  std::vector<double> links = {25 / 8.0, 100 / 8.0, 400 / 8.0, 450};  // Ethernet or InfiniBand; NVLink of an H100
  std::vector<int> processes = {2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  int batches = 0;  // of all processes in a step; 0: one each
};

void print_line(const Asked& asked, double link, int processes) {
  Config config = read_config({preset_json(asked.preset)}, {"preset " + asked.preset}, asked.sets);
  config.training.accumulate = asked.batches > 0 ? asked.batches : processes;
  config.training.lanes = processes;
  Rates rates = asked.rates;
  rates.link_bytes = 1e9 * link;
  const Scaling scaling = predict_scaling(config, processes, rates);
  const bench::Line line = {{"preset", asked.preset},
                            {"processes", processes},
                            {"link_gigabytes_per_s", link},
                            {"multiply_adds_per_s", rates.multiply_adds},
                            {"memory_bytes_per_s", rates.memory_bytes},
                            {"efficiency", scaling.efficiency},
                            {"step_s", scaling.step_s},
                            {"exchange_s", scaling.exchange_s},
                            {"sequences_for_90_percent", scaling.batches_for_90 * processes * config.training.batch}};
  std::printf("%s\n", line.dump().c_str());
}

void run(Asked asked) {
  if (asked.rates.multiply_adds == 0 || asked.rates.memory_bytes == 0) {
    const Rates measured = measure_rates(Precision::bfloat16);
    if (asked.rates.multiply_adds == 0) asked.rates.multiply_adds = measured.multiply_adds;
    if (asked.rates.memory_bytes == 0) asked.rates.memory_bytes = measured.memory_bytes;
  }
  for (const double link : asked.links)
    for (const int processes : asked.processes) print_line(asked, link, processes);
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app{"What would many processes give?"};
  Asked asked;
  app.add_option("--preset", asked.preset)->capture_default_str();
  app.add_option("--set", asked.sets)->take_all()->expected(1)->allow_extra_args(false);
  app.add_option("--rate", asked.rates.multiply_adds, "multiply-adds a second of a step; 0: measured");
  app.add_option("--memory", asked.rates.memory_bytes, "bytes a second; 0: measured");
  app.add_option("--latency", asked.rates.latency_s, "seconds of a message")->capture_default_str();
  app.add_option("--links", asked.links, "gigabytes a second")->delimiter(',')->capture_default_str();
  app.add_option("--processes", asked.processes)->delimiter(',')->capture_default_str();
  app.add_option("--batches", asked.batches, "of a step; 0: one a process")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(asked);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scale: %s\n", error.what());
    return 1;
  }
}
