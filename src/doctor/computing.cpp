// This runs every operation on random operands and holds what comes back against its definition.
#include "doctor/computing.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include <fmt/format.h>

#include "doctor/trials.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/device_twin.h"

namespace longstride {

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::wrong:
      return "wrong";
    case Verdict::slow:
      return "slow";
  }
  return "";
}

namespace doctor {

Findings::Findings(const DoctorOptions& options, const Backend* backend) : options_(options) {
  if (backend != nullptr && backend->facts().device == "cpu") instruction_set_ = machine_info().instruction_set;
}

ThreadsKept::ThreadsKept() : before_(machine_info().threads) {}
ThreadsKept::~ThreadsKept() { set_threads(before_); }

void Findings::look(const std::string& name, const std::function<Finding()>& check) {
  if (options_.stop != nullptr && options_.stop->load()) return;
  if (options_.begun) options_.begun(name);
  Finding finding;
  try {
    finding = check();
  } catch (const std::exception& error) {
    finding.verdict = Verdict::wrong;
    finding.sentence = error.what();
  }
  finding.check = name;
  finding.instruction_set = instruction_set_;
  if (options_.found) options_.found(finding);
  all_.push_back(std::move(finding));
}

namespace {

// How much of the bounds was used: 1 is all. NaN, and an element too few, is infinitely too much.
struct Distance {
  double share = 0;
  std::size_t element = 0;
};
Distance distance(const Values& made, const Trial& trial) {
  Distance worst;
  if (made.size() != trial.wanted.size()) return {INFINITY, 0};
  for (std::size_t e = 0; e < made.size(); ++e) {
    if (made[e] == trial.wanted[e]) continue;  // infinities, and what has no bound
    const double share = std::abs(made[e] - trial.wanted[e]) / trial.bound[e];
    const double counted = std::isnan(share) ? INFINITY : share;
    if (counted > worst.share) worst = {counted, e};
  }
  return worst;
}

bool same_bits(const Values& a, const Values& b) {
  const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

// What a trial found wrong, in words; empty where nothing is. used: raised to the share of the bounds that was.
std::string problem_of(Backend& backend, const Trial& trial, int most_threads, double& used) {
  std::string problem;
  const RunAll run = [&](std::vector<Operation> operations) {
    const std::string written = DeviceTwin(backend, std::move(operations)).run(trial.inputs);
    if (problem.empty()) problem = written;
  };
  Values first;
  for (const int threads : {1, most_threads}) {
    set_threads(threads);
    const Values made = trial.made(run);
    if (!problem.empty()) return problem;
    const Distance worst = distance(made, trial);
    if (worst.share > 1) {
      const auto of = [&](const Values& values) { return worst.element < values.size() ? values[worst.element] : NAN; };
      return fmt::format("element {} is {}, by the definition {} within {:.1e}", worst.element, of(made),
                         of(trial.wanted), of(trial.bound));
    }
    used = std::max(used, worst.share);
    if (first.empty()) first = made;
    if (!same_bits(made, first)) return fmt::format("{} threads give other bits than one", threads);
  }
  return "";
}

Finding examine(Backend& backend, const Kernel& kernel, const DoctorOptions& options, int most_threads) {
  Draw draw(options.seed);
  double used = 0;
  for (std::int64_t n = 0; n < options.cases; ++n) {
    for (const DType type : kTypes) {
      if (type == DType::bfloat16 && !kernel.of_activations) continue;
      const Trial trial = kernel.trial(draw, type);
      std::string problem;
      try {
        problem = problem_of(backend, trial, most_threads, used);
      } catch (const Error& error) {
        problem = error.what();
      }
      if (!problem.empty())
        return {.verdict = Verdict::wrong, .sentence = fmt::format("{}; {}: {}", word(type), trial.shape, problem)};
    }
  }
  const char* types = kernel.of_activations ? "float32 and bfloat16" : "float32";
  return {.sentence = fmt::format("{} random shapes in {} agree with the definition; errors are at most {:.0f}% of "
                                  "what rounding may do",
                                  options.cases, types, 100 * used),
          .figures = {{"share_of_bound", used}}};
}

}  // namespace

std::vector<Finding> examine_operations(Backend& backend, const DoctorOptions& options) {
  if (options.cases < 1) throw_invalid(fmt::format("doctor: needs at least 1 case, got {}", options.cases));
  const ThreadsKept kept;
  Findings findings(options, &backend);
  for (const Kernel& kernel : kernels())
    findings.look(kernel.name, [&] { return examine(backend, kernel, options, kept.at_least_two()); });
  return findings.all();
}

}  // namespace doctor

std::vector<Finding> examine_computing(const DoctorOptions& options) {
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  std::vector<Finding> all = doctor::examine_operations(*backend, options);
  for (Finding& finding : doctor::examine_network(*backend, options)) all.push_back(std::move(finding));
  return all;
}

}  // namespace longstride
