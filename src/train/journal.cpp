// This writes an object a line into log.jsonl, and the same numbers into TensorBoard's events.
#include "train/journal.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "longstride/device.h"

namespace longstride {

namespace {

// JSON has no NaN: what is not finite is written as null.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

Journal::Journal(const RunDirectory& run, std::int64_t first_step)
    : lines_(run.log_path(),
             [first_step](std::string_view line) {
               const auto json = nlohmann::json::parse(line, nullptr, false);
               const auto step = json.is_object() ? json.find("step") : json.end();
               return json.is_object() && step != json.end() && step->is_number_integer() &&
                      step->get<std::int64_t>() <= first_step;
             }),
      events_(run.tensorboard_path(), std::max<std::int64_t>(1, first_step + 1)) {}

void Journal::step(const StepReport& r) {
  nlohmann::ordered_json line = {{"step", r.step},
                                 {"tokens", r.tokens},
                                 {"epoch", r.epoch},
                                 {"loss_bits", number(r.loss_bits)},
                                 {"learning_rate", r.learning_rate},
                                 {"gradient_norm", number(r.gradient_norm)},
                                 {"step_s", r.step_s},
                                 {"load_s", r.load_s},
                                 {"tokens_per_s", r.tokens_per_s},
                                 {"utilisation", r.utilisation},
                                 {"memory_bytes", r.memory_bytes}};
  if (r.skipped) line["skipped"] = true;
  lines_.write(line.dump());
  events_.scalar("loss_bits", r.step, r.loss_bits);
  events_.scalar("learning_rate", r.step, r.learning_rate);
  events_.scalar("gradient_norm", r.step, r.gradient_norm);
  events_.scalar("tokens_per_s", r.step, r.tokens_per_s);
}

void Journal::validation(std::int64_t step, double bits, double standard_error, std::int64_t min_context,
                         std::int64_t tokens_scored) {
  const nlohmann::ordered_json line = {{"step", step},
                                       {"valid_bits", number(bits)},
                                       {"standard_error", number(standard_error)},
                                       {"min_context", min_context},
                                       {"tokens_scored", tokens_scored}};
  lines_.write(line.dump());
  events_.scalar("valid_bits", step, bits);
}

void Journal::sample(std::int64_t step, const std::string& name, const MadeSample& sample) {
  lines_.write(nlohmann::ordered_json{{"step", step}, {"sample", name}}.dump());
  if (const auto* image = std::get_if<Image>(&sample)) events_.image("sample", step, *image);
  if (const auto* sound = std::get_if<Sound>(&sample)) events_.audio("sample", step, *sound);
  if (const auto* text = std::get_if<std::string>(&sample)) events_.text("sample", step, "```\n" + *text + "\n```");
}

void Journal::event(std::int64_t step, const std::string& name, const std::optional<Origin>& origin) {
  nlohmann::ordered_json line = {{"step", step}, {"event", name}};
  if (origin) {
    Origin::fields(*origin, [&](const char* key, const std::string& text) { line[key] = text; });
    line["processor"] = machine_info().processor;
  }
  lines_.write(line.dump());
}

}  // namespace longstride
