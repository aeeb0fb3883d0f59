// Training, with what it tells Python as it goes.
#include "longstride/train.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <mutex>

#include "bindings.h"
#include "errand.h"
#include "held.h"
#include "longstride/device.h"
#include "paths.h"
#include "records.h"
#include "world.h"

namespace longstride::python {
namespace {

using namespace nb::literals;

nb::dict record(const StepReport& report) {
  nb::dict fields;
  fields["step"] = report.step;
  fields["steps"] = report.steps;
  fields["share"] = report.share;
  fields["tokens"] = report.tokens;
  fields["epoch"] = report.epoch;
  fields["loss_bits"] = report.loss_bits;
  fields["smoothed_bits"] = report.smoothed_bits;
  fields["learning_rate"] = report.learning_rate;
  fields["gradient_norm"] = report.gradient_norm;
  fields["step_s"] = report.step_s;
  fields["load_s"] = report.load_s;
  fields["exchange_s"] = report.exchange_s;
  fields["tokens_per_s"] = report.tokens_per_s;
  fields["utilisation"] = report.utilisation;
  fields["time_left_s"] = report.time_left_s;
  fields["memory_bytes"] = report.memory_bytes;
  fields["skipped"] = report.skipped;
  fields["not_finite"] = said(report.not_finite);
  return fields;
}

nb::dict record(const TrainResult& result) {
  nb::dict fields;
  fields["step"] = result.step;
  fields["interrupted"] = result.interrupted;
  fields["stopped_early"] = result.stopped_early;
  fields["valid_bits"] = unless_negative(result.valid_bits);
  fields["test_bits"] = unless_negative(result.test_bits);
  fields["test_order0_bits"] = unless_negative(result.test_order0_bits);
  fields["test_bytes"] = result.test_bytes;
  fields["checkpoint"] = said(result.checkpoint);
  fields["data_bytes"] = result.data_bytes;
  fields["data_sha256"] = result.data_sha256;
  fields["data_change"] = said(result.data_change);
  fields["origin"] = origin_record(result.origin);
  return fields;
}

// The threads that training.threads asks for, where it does, and what they were before once this goes: of trainings at
// the same time once the last one goes.
class ThreadsOfTraining {
 public:
  explicit ThreadsOfTraining(std::int64_t asked) : asked_(asked != 0) {
    if (!asked_) return;
    const std::lock_guard held(mutex_);
    if (users_ == 0) before_ = machine_info().threads;
    set_threads_of_process(static_cast<int>(asked));
    ++users_;
  }
  ~ThreadsOfTraining() {
    if (!asked_) return;
    const std::lock_guard held(mutex_);
    if (--users_ == 0) set_threads_of_process(before_);
  }
  ThreadsOfTraining(const ThreadsOfTraining&) = delete;
  ThreadsOfTraining& operator=(const ThreadsOfTraining&) = delete;

 private:
  const bool asked_;
  static inline std::mutex mutex_;
  static inline int users_ = 0, before_ = 0;
};

// What `watcher` is told: methods started(plan, data), stepped(fields) -> go on?, validated(step, bits, best),
// saved(step, path), sampled(step, path, text, share), noted(sentence).
TrainObserver observer_of(Errand& errand, const nb::object& watcher) {
  TrainObserver observer;
  observer.started = [&](const Config&, const Plan& plan, const std::string& data) {
    errand.tell([&] { watcher.attr("started")(plan_record(plan), said(data)); });
  };
  observer.stepped = [&](const StepReport& report) {
    errand.tell([&] {
      if (!nb::cast<bool>(watcher.attr("stepped")(record(report)))) errand.ask_to_stop();
    });
  };
  observer.validated = [&](std::int64_t step, double bits, bool best) {
    errand.tell([&] { watcher.attr("validated")(step, bits, best); });
  };
  observer.saved = [&](std::int64_t step, const std::string& path) {
    errand.tell([&] { watcher.attr("saved")(step, said(path)); });
  };
  observer.sampled = [&](const SampleReport& report) {
    errand.tell([&] {
      const nb::bytes text(report.text.data(), report.text.size());
      watcher.attr("sampled")(report.step, said(report.path), text, report.share);
    });
  };
  observer.noted = [&](const std::string& sentence) { errand.tell([&] { watcher.attr("noted")(said(sentence)); }); };
  return observer;
}

// config: JSON; data: in the place of its own paths where there are any. steps, minutes: a resumed run's new end.
nb::dict train_it(const std::string& config, const std::vector<Path>& data, const Path& out, bool resume,
                  bool overwrite, std::optional<std::int64_t> steps, std::optional<double> minutes,
                  const WorldHandle* world, const nb::object& watcher) {
  Config asked = config_of(config, data);
  if (resume) asked.training.threads = threads_of_run(out.name);
  const InWorld together(world);
  Errand errand;
  TrainOptions options;
  options.out = out.name;
  options.resume = resume;
  options.overwrite = overwrite;
  options.steps = steps;
  options.minutes = minutes;
  options.world = together.world();
  options.stop = errand.stop();
  const TrainObserver observer = observer_of(errand, watcher);
  TrainResult result;
  const ThreadsOfTraining threads(asked.training.threads);
  together.run(errand, [&] { result = train(asked, options, observer); });
  return record(result);
}

}  // namespace

void bind_train(nb::module_& module) {
  module.def("train", train_it, "config"_a, "data"_a, "out"_a, "resume"_a, "overwrite"_a, "steps"_a.none(),
             "minutes"_a.none(), "world"_a.none(), "watcher"_a);
}

}  // namespace longstride::python
