// longstride._core: the library for Python, a file a subject. Nothing here is for users to import.
#include "bindings.h"
#include "longstride/origin.h"

namespace longstride::program {
extern const char* const kCommit;  // cmake/commit.cmake makes the file that says it
}  // namespace longstride::program

NB_MODULE(_core, module) {
  using namespace longstride::python;
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {  // whose end nanobind does not survive
    throw nanobind::import_error("longstride: works in a process's first interpreter alone; use threads or processes");
  }
  module.doc() = "The library behind the package longstride. Import longstride instead.";
  longstride::set_commit(longstride::program::kCommit);
  module.def("version", &longstride::version, "The version of the library, as in \"0.1.0\".");
  bind_ending(module);
  bind_errors(module);
  bind_files(module);
  bind_pattern(module);
  bind_attention(module);
  bind_machine(module);
  bind_config(module);
  bind_world(module);
  bind_model(module);
  bind_decoder(module);
  bind_sample(module);
  bind_view(module);
  bind_train(module);
}
