// How fast this machine is beside what it should be: cores beside one core, products beside the units that they are
// made of, memory by itself.
#include <fmt/format.h>

#include "doctor/computing.h"
#include "longstride/device.h"

namespace longstride {

namespace doctor {

namespace {

// Two threads of one core share its units, so that all of them give half as many times what one gives.
constexpr double kLeastOfCores = 0.4;
constexpr double kLeastOfPeak = 0.5;  // of products; oneDNN's large ones reach 80 to 95% on cores that nobody else uses
// Below what one thread copies from a single channel of DDR3-1066, the slowest memory of processors with AVX2: half of
// its 8.5 GB/s.
constexpr double kLeastCopy = 4e9;

std::string billions(double rate) { return fmt::format("{:.0f} billion", rate / 1e9); }

Finding cores(const ProcessorRates& rates, int threads) {
  const double times = rates.float32_sustained / rates.one_thread;
  const bool slow = times < kLeastOfCores * threads;
  std::string sentence = fmt::format("{} thread{} together do {:.1f} times the arithmetic of one, at {:.1f} GHz",
                                     threads, threads == 1 ? "" : "s", times, rates.clock_hz / 1e9);
  if (slow)
    sentence += "; other programs use the cores, or a container allows only a share of them: fewer --threads may help";
  return {.verdict = slow ? Verdict::slow : Verdict::ok,
          .sentence = sentence,
          .figures = {{"threads", threads}, {"times_one_thread", times}, {"clock_hz", rates.clock_hz}}};
}

// peak: of the units; 0: not known, and `why`.
Finding products(double rate, double peak, const std::string& of_peak, const std::string& why) {
  std::string sentence = billions(rate) + " multiply-adds a second";
  if (peak == 0)
    return {.sentence = sentence + "; what they should be cannot be said: " + why, .figures = {{"rate", rate}}};
  const bool slow = rate < kLeastOfPeak * peak;
  sentence += fmt::format(", {:.0f}% of the {} {}", 100 * rate / peak, billions(peak), of_peak);
  if (slow) sentence += "; other programs may use the cores or the memory: ask again when the machine is idle";
  return {
      .verdict = slow ? Verdict::slow : Verdict::ok, .sentence = sentence, .figures = {{"rate", rate}, {"peak", peak}}};
}

Finding float32_products(const Backend& backend, const ProcessorRates& rates, int threads) {
  const double a_cycle = rates.one_thread / rates.lanes / rates.clock_hz;
  return products(backend.product_rate(DType::float32), rates.lanes == 1 ? 0 : rates.float32,
                  fmt::format("that the units of {} thread{} give ({:.1f} vectors of {} a cycle each)", threads,
                              threads == 1 ? "" : "s", a_cycle, rates.lanes),
                  "without vectors oneDNN uses an instruction set of its own");
}

Finding bfloat16_products(const Backend& backend, const ProcessorRates& rates) {
  return products(backend.product_rate(DType::bfloat16), rates.bfloat16_tiles ? 0 : rates.bfloat16,
                  "that its instruction gives on registers",
                  "the processor has tile units (AMX), which are not measured");
}

Finding memory(const ProcessorRates& rates) {
  const bool slow = rates.copy < kLeastCopy;
  return {
      .verdict = slow ? Verdict::slow : Verdict::ok,
      .sentence = fmt::format("{:.1f} GB/s read and written while copying {:.0f} MB; {}", rates.copy / 1e9,
                              static_cast<double>(rates.copied_bytes) / 1e6,
                              slow ? "one channel of the oldest memory gives more: other programs may use it"
                                   : "how many channels of which memory there are cannot be read without being root"),
      .figures = {{"bytes_per_s", rates.copy}}};
}

}  // namespace

}  // namespace doctor

std::vector<Finding> examine_speed(const DoctorOptions& options) {
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  const MachineInfo machine = machine_info();
  doctor::Findings findings(options, backend.get());
  ProcessorRates rates;
  findings.look("cores", [&] {
    rates = measure_processor();
    return doctor::cores(rates, machine.threads);
  });
  findings.look("float32 products", [&] { return doctor::float32_products(*backend, rates, machine.threads); });
  if (machine.bfloat16) findings.look("bfloat16 products", [&] { return doctor::bfloat16_products(*backend, rates); });
  findings.look("memory bandwidth", [&] { return doctor::memory(rates); });
  return findings.all();
}

}  // namespace longstride
