// Files that are there whole or not at all.
#include "longstride/file.h"

#include <nanobind/stl/string.h>

#include "arrays.h"
#include "bindings.h"
#include "longstride/error.h"
#include "longstride/image.h"
#include "paths.h"

namespace longstride::python {

void bind_files(nb::module_& module) {
  module.def("read_text", [](const Path& path) { return said(without_lock([&] { return read_text(path.name); })); });
  module.def("write_text", [](const Path& path, const std::string& text) {
    without_lock([&] { write_file_atomically(path.name, text); });
  });
  module.def("write_png", [](const Path& path, const ArrayIn<std::uint8_t>& bytes, int height, int width) {
    Image image = {width, height, 0, {bytes.data(), bytes.data() + bytes.size()}};
    const std::size_t pixels = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
    if (pixels == 0 || (bytes.size() != pixels && bytes.size() != 3 * pixels)) {
      throw_invalid("write_png: needs a picture of one or three channels");
    }
    image.channels = static_cast<int>(bytes.size() / pixels);
    without_lock([&] { write_png(image, path.name); });
  });
}

}  // namespace longstride::python
