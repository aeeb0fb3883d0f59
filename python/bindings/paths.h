// Paths and sentences between Python and the library. A name that is no UTF-8 survives both ways as Python has it.
#pragma once

#include <string>

#include "bindings.h"

namespace longstride::python {

// An argument that takes str and os.PathLike.
struct Path {
  std::string name;
};

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
