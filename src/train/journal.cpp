// This writes an object a line into log.jsonl, and the same numbers into TensorBoard's events.
#include "train/journal.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "io/system.h"
#include "longstride/device.h"
#include "longstride/error.h"

namespace longstride {

namespace {

constexpr const char* kFinished = "finished";

// JSON has no NaN: what is not finite is written as null.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json event_of(std::int64_t step, const std::string& name) {
  return {{"step", step}, {"event", name}};
}

}  // namespace

bool is_known(std::string_view line, const Progress& before) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto step = json.is_object() ? json.find("step") : json.end();
  if (!json.is_object() || step == json.end() || !step->is_number_integer()) return false;
  const std::int64_t known = json.contains("valid_bits") ? before.validated_step
                             : json.contains("sample")   ? before.sampled_step
                                                         : before.step;
  return step->get<std::int64_t>() <= known;
}

Journal::Journal(const RunDirectory& run, const Progress* before, Noted noted)
    : lines_(run.log_path(), [before](std::string_view line) { return before != nullptr && is_known(line, *before); }),
      noted_(std::move(noted)) {
  try {
    events_.emplace(run.tensorboard_path(), before != nullptr ? before->step + 1 : 1);
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

void Journal::show(const std::function<void(EventWriter&)>& write) {
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
  lines_.write(line.dump());
  show([&](EventWriter& events) {
    events.scalar("loss_bits", r.step, r.loss_bits);
    events.scalar("learning_rate", r.step, r.learning_rate);
    events.scalar("gradient_norm", r.step, r.gradient_norm);
    events.scalar("tokens_per_s", r.step, r.tokens_per_s);
  });
}

void Journal::validation(std::int64_t step, double bits, double standard_error, std::int64_t min_context,
                         std::int64_t tokens_scored) {
  const nlohmann::ordered_json line = {{"step", step},
                                       {"valid_bits", number(bits)},
                                       {"standard_error", number(standard_error)},
                                       {"min_context", min_context},
                                       {"tokens_scored", tokens_scored}};
  lines_.write(line.dump());
  show([&](EventWriter& events) { events.scalar("valid_bits", step, bits); });
}

void Journal::sample(std::int64_t step, const std::string& name, const MadeSample& sample) {
  lines_.write(nlohmann::ordered_json{{"step", step}, {"sample", name}}.dump());
  show([&](EventWriter& events) {
    if (const auto* image = std::get_if<Image>(&sample)) events.image("sample", step, *image);
    if (const auto* sound = std::get_if<Sound>(&sample)) events.audio("sample", step, *sound);
    if (const auto* text = std::get_if<std::string>(&sample)) events.text("sample", step, "```\n" + *text + "\n```");
  });
}

void Journal::event(std::int64_t step, const std::string& name, const std::optional<Origin>& origin) {
  nlohmann::ordered_json line = event_of(step, name);
  if (origin) {
    Origin::fields(*origin, [&](const char* key, const std::string& text) { line[key] = text; });
    line["processor"] = machine_info().processor;
  }
  lines_.write(line.dump());
}

}  // namespace longstride
