// Configurations as JSON text, and where checkpoints lie.
#include "longstride/config.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "bindings.h"
#include "longstride/checkpoint.h"
#include "paths.h"

namespace longstride::python {

void bind_config(nb::module_& module) {
  using namespace nb::literals;
  module.def(
      "whole_config",
      [](const std::vector<std::string>& texts, const std::vector<std::string>& sources,
         const std::vector<std::string>& assignments) {
        const Config config = read_config(texts, sources, assignments);
        check(config);
        return said(write_config(config));
      },
      "texts"_a, "sources"_a, "assignments"_a,
      "JSON texts, later ones over earlier, and assignments such as model.width=256: the whole configuration as JSON.");
  module.def("preset_json", [](const std::string& name) { return said(preset_json(name)); }, "name"_a,
             "The JSON of a preset.");
  module.def("preset_names", &preset_names, "Names of the presets.");
  module.def(
      "find_checkpoint",
      [](const Path& run, const std::string& which) {
        std::string path;
        without_lock([&] { path = find_checkpoint(run.name, which); });
        return said(path);
      },
      "run"_a, "which"_a, "Path of model.safetensors. run: run directory, checkpoint directory or file.");
}

}  // namespace longstride::python
