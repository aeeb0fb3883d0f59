// Configurations as JSON texts, plans of training, and what a run or a checkpoint is.
#include "longstride/config.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "errand.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "longstride/image.h"
#include "longstride/plan.h"
#include "longstride/preview.h"
#include "longstride/train.h"
#include "paths.h"
#include "records.h"
#include "words.h"

namespace longstride::python {

Precision precision_of(const std::string& word) {
  if (word == "auto") return Precision::automatic;
  if (word == "float32") return Precision::float32;
  if (word == "bfloat16") return Precision::bfloat16;
  throw_invalid("precision: needs auto, float32 or bfloat16, got \"" + word + "\"");
}

Device device_of(const std::string& word) {
  if (const std::optional<Device> device = read_device(word)) return *device;
  throw_invalid("device: needs auto, cpu, cuda or cuda:K, got \"" + word + "\"");
}

const char* word_of(Precision precision) {
  switch (precision) {
    case Precision::automatic:
      return "auto";
    case Precision::float32:
      return "float32";
    case Precision::bfloat16:
      return "bfloat16";
  }
  return "";
}

nb::object origin_record(const Origin& origin) {
  nb::dict fields;
  Origin::fields(origin, [&](const char* name, const std::string& text) { fields[name] = said(text); });
  return fields;
}

nb::dict plan_record(const Plan& plan) {
  nb::dict fields, parameters, bytes;
  for (const auto& [part, count] : plan.parameters_by_part) parameters[part.c_str()] = count;
  for (const auto& [part, count] : plan.bytes_by_part) bytes[part.c_str()] = count;
  bytes["total"] = plan.total_bytes;
  fields["parameters"] = plan.parameters;
  fields["parameters_by_part"] = parameters;
  fields["bytes"] = bytes;
  fields["bytes_without_recomputation"] = plan.bytes_without_recomputation;
  fields["bytes_with_recomputation"] = plan.bytes_with_recomputation;
  fields["multiply_adds_per_step"] = plan.multiply_adds_per_step;
  fields["memory_available_bytes"] = plan.memory_available_bytes;
  fields["fits"] = plan.fits;
  fields["advice"] = said(plan.advice);
  fields["precision"] = word_of(plan.precision);
  fields["recompute"] = plan.recompute == Recompute::block ? "block" : "none";
  return fields;
}

namespace {

// Layers of JSON, later ones over earlier.
nb::str resolve(const std::vector<std::string>& texts, const std::vector<std::string>& sources) {
  return said(write_config(read_config(texts, sources, {})));
}

nb::str kind_of(const std::vector<Path>& data, const Path& run) {
  DataConfig config;
  config.paths = names_of(data);
  return said(without_lock([&] { return find_kind(config, run.name); }));
}

nb::dict describe(const Path& run, const std::string& checkpoint) {
  const CheckpointInfo info = without_lock([&] { return describe_checkpoint(find_checkpoint(run.name, checkpoint)); });
  nb::dict fields, tensors;
  for (const auto& [name, shape] : info.tensors) tensors[name.c_str()] = nb::tuple(nb::cast(shape));
  const bool known = !info.data_sha256.empty();
  fields["path"] = said(info.path);
  fields["config"] = said(write_config(info.config));
  fields["step"] = info.step;
  fields["parameters"] = info.parameters;
  fields["tensors"] = tensors;
  fields["valid_bits"] = unless_negative(info.valid_bits);
  fields["trained_by"] = info.origin ? origin_record(*info.origin) : nb::none();
  fields["data_sha256"] = known ? nb::object(said(info.data_sha256)) : nb::none();
  fields["data_bytes"] = known ? nb::object(nb::int_(info.data_bytes)) : nb::none();
  return fields;
}

// config: its data are `data` where any are named. cache: for decoded data, where the configuration names none.
nb::dict describe_data(const std::string& config, const std::vector<Path>& data, const Path& cache,
                       const nb::callable& noted) {
  Config asked = config_of(config, data);
  if (asked.data.cache.empty()) asked.data.cache = cache.name;
  Errand errand;
  DataPreview found;
  errand.run([&] {
    found = preview_data(asked, errand.stop(),
                         [&](const std::string& sentence) { errand.tell([&] { noted(said(sentence)); }); });
  });
  nb::dict fields;
  fields["kind"] = said(found.data.kind);
  fields["data"] = said(found.description);
  fields["bytes"] = found.bytes;
  fields["train_bytes"] = found.train_bytes;
  fields["valid_bytes"] = found.valid_bytes;
  fields["test_bytes"] = found.test_bytes;
  fields["order0_bits"] = found.order0_bits;
  nb::list notes;
  for (const std::string& note : found.notes) notes.append(said(note));
  fields["notes"] = nb::tuple(notes);
  const bool picture = found.data.kind == "image" && !found.window.empty();
  fields["window"] = picture ? nb::cast(array_of(token_picture(found.data, found.window)))
                             : nb::cast(array_of(std::move(found.window)));
  return fields;
}

}  // namespace

void bind_config(nb::module_& module) {
  module.def("preset_names", &preset_names);
  module.def("preset_json", &preset_json);
  module.def("resolve", resolve);
  module.def("kind_of", kind_of);
  module.def("config_to_begin_with",
             [](const Path& run) { return said(without_lock([&] { return config_to_begin_with(run.name); })); });
  module.def("describe", describe);
  module.def("describe_data", describe_data);
  module.def("plan", [](const std::string& config, const std::vector<Path>& data) {
    const Config asked = config_of(config, data);
    return plan_record(computing([&] {
      check_start(asked);
      return plan_training(asked);
    }));
  });
}

}  // namespace longstride::python
