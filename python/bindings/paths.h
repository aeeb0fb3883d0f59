// Paths and sentences between Python and the library. A name that is no UTF-8 survives both ways as Python has it.
#pragma once

#include <string>
#include <vector>

#include "bindings.h"
#include "longstride/config.h"

namespace longstride::python {

// An argument that takes str and os.PathLike.
struct Path {
  std::string name;
};

inline std::vector<std::string> names_of(const std::vector<Path>& paths) {
  std::vector<std::string> names;
  for (const Path& path : paths) names.push_back(path.name);
  return names;
}

// json: a configuration. data: in the place of its own paths where there are any.
inline Config config_of(const std::string& json, const std::vector<Path>& data) {
  Config config = read_config({json}, {"config"}, {});
  if (!data.empty()) config.data.paths = names_of(data);
  return config;
}

// What the library says, with names of files in it.
inline nb::str said(const std::string& text) {
  return nb::steal<nb::str>(PyUnicode_DecodeFSDefaultAndSize(text.data(), static_cast<Py_ssize_t>(text.size())));
}

}  // namespace longstride::python

template <>
struct nanobind::detail::type_caster<longstride::python::Path> {
  NB_TYPE_CASTER(longstride::python::Path, const_name("str | os.PathLike[str]"))

  bool from_python(handle source, std::uint8_t, cleanup_list*) noexcept {
    PyObject* bytes = nullptr;
    if (PyUnicode_FSConverter(source.ptr(), &bytes) == 0) {
      PyErr_Clear();
      return false;
    }
    char* text = nullptr;
    Py_ssize_t size = 0;
    const bool read = PyBytes_AsStringAndSize(bytes, &text, &size) == 0;
    if (read) value.name.assign(text, static_cast<std::size_t>(size));
    Py_DECREF(bytes);
    return read;
  }
};
