// This writes an object a line into log.jsonl, and the same numbers into TensorBoard's events.
#include "train/journal.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "io/system.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "model/config_fields.h"
#include "train/log_lines.h"

namespace longstride {

namespace {

constexpr const char* kFinished = "finished";
constexpr const char* kBitsTag = "bits";  // of training and of validation: one chart

std::string fenced(const std::string& text) { return "```\n" + text + "\n```"; }  // as Markdown shows it as it is

// JSON has no NaN: what is not finite is written as null.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json event_of(std::int64_t step, const std::string& name) {
  return {{"step", step}, {"event", name}};
}

}  // namespace

Journal::Journal(const RunDirectory& run, const Progress* before, Noted noted) : run_(run), noted_(std::move(noted)) {
  std::optional<KeptLines> kept;
  if (before != nullptr) kept.emplace(*before);
  lines_.emplace(run.log_path(), [&](std::string_view line) { return kept && kept->keep(line); });
  if (kept)
    for (const std::string& problem : kept->problems()) noted_(problem);
  try {
    // From this step on earlier files are forgotten, also those of a start that left no checkpoint; not before it.
    const std::int64_t first_step = before != nullptr ? before->step + 1 : 1;
    const std::string folder = run.tensorboard_path();
    EventWriter whole(folder, first_step);  // makes the folder of all
    events_.emplace(Events{std::move(whole), EventWriter(folder + "/train", first_step),
                           EventWriter(folder + "/valid", first_step)});
  } catch (const Error& error) {
    noted_(std::string("TensorBoard gets nothing of this session: ") + error.what());
  }
}

bool Journal::says_finished(const RunDirectory& run, std::int64_t step) {
  if (!is_there(run.log_path())) return false;
  std::string line = event_of(step, kFinished).dump();
  line.push_back('\n');
  return InputFile(run.log_path()).text().find(line) != std::string::npos;
}

// Others may remove or empty the file while it is written (a program that keeps logs small does): what follows lands in
// one that is there.
void Journal::write(const std::string& line) {
  if (const std::string loss = lines_->loss(); !loss.empty()) {
    run_.require_place();
    lines_->reopen();
    noted_("log.jsonl " + loss + " while the run was trained: what it lost is missing there; new lines go into \"" +
           run_.log_path() + "\"");
  }
  lines_->write(line);
}

void Journal::show(const std::function<void(Events&)>& write) {
  if (!events_) return;
  try {
    write(*events_);
  } catch (const Error& error) {
    events_.reset();
    noted_(std::string("TensorBoard gets nothing more of this session: ") + error.what());
  }
}

void Journal::step(const StepReport& r) {
  nlohmann::ordered_json line = {{"step", r.step},
                                 {"tokens", r.tokens},
                                 {"epoch", r.epoch},
                                 {"loss_bits", number(r.loss_bits)},
                                 {"learning_rate", r.learning_rate},
                                 {"gradient_norm", number(r.gradient_norm)},
                                 {"step_s", r.step_s},
                                 {"load_s", r.load_s},
                                 {"exchange_s", r.exchange_s},
                                 {"tokens_per_s", r.tokens_per_s},
                                 {"utilisation", r.utilisation},
                                 {"memory_bytes", r.memory_bytes}};
  if (r.skipped) line["skipped"] = true;
  if (r.skipped) line["not_finite"] = r.not_finite;
  write(line.dump());
  show([&](Events& events) {
    events.train.scalar(kBitsTag, r.step, r.loss_bits);
    events.train.scalar("optimiser/learning_rate", r.step, r.learning_rate);
    events.train.scalar("optimiser/gradient_norm", r.step, r.gradient_norm);
    events.train.scalar("speed/tokens_per_s", r.step, r.tokens_per_s);
    events.train.scalar("speed/utilisation", r.step, r.utilisation);
  });
}

void Journal::validation(std::int64_t step, double bits, double standard_error, std::int64_t min_context,
                         std::int64_t tokens_scored) {
  const nlohmann::ordered_json line = {
      {"step", step},
      {"valid_bits", number(bits)},
      {"standard_error", standard_error < 0 ? nlohmann::ordered_json() : number(standard_error)},
      {"min_context", min_context},
      {"tokens_scored", tokens_scored}};
  write(line.dump());
  show([&](Events& events) { events.valid.scalar(kBitsTag, step, bits); });
}

void Journal::sample(std::int64_t step, const std::string& name, const MadeSample& sample) {
  write(nlohmann::ordered_json{{"step", step}, {"sample", name}}.dump());
  show([&](Events& events) {
    if (const auto* image = std::get_if<Image>(&sample)) events.whole.image("sample", step, *image);
    if (const auto* sound = std::get_if<Sound>(&sample)) events.whole.audio("sample", step, *sound);
    if (const auto* text = std::get_if<std::string>(&sample)) events.whole.text("sample", step, fenced(*text));
  });
}

void Journal::configuration(std::int64_t step, const Config& config) {
  Hyperparameters values;
  for (const ConfigField& field : config_fields()) {
    const nlohmann::json value = field.write(config);
    if (value.is_number())
      values.emplace_back(field.key, value.get<double>());
    else
      values.emplace_back(field.key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  show([&](Events& events) {
    events.whole.text("configuration", step, fenced(write_config(config)));
    events.whole.hyperparameters(values);
  });
}

void Journal::event(std::int64_t step, const std::string& name, const std::optional<Origin>& origin) {
  nlohmann::ordered_json line = event_of(step, name);
  if (origin) {
    Origin::fields(*origin, [&](const char* key, const std::string& text) { line[key] = text; });
    line["processor"] = machine_info().processor;
  }
  write(line.dump());
}

}  // namespace longstride
