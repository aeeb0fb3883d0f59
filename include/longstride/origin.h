// Which program computed something, and with what: what one needs to get the same bits again, besides configuration,
// data and seed. The same binary, instruction set and configuration give them, on any number of threads.
#pragma once

#include <string>

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

struct Origin {
  std::string version;  // "0.1.0"
  std::string commit;   // of the sources, "32b0433f5a1c", a "+" behind it where files differ; empty: not known
  std::string device;   // "cpu"
  std::string instruction_set;
  std::string libraries;  // "oneDNN 2.6.3, OpenMP 201511"
  bool operator==(const Origin&) const = default;

  // Calls visit(name, text) for each of them.
  template <class Self, class Visit>
  static void fields(Self& origin, Visit&& visit) {
    visit("version", origin.version), visit("commit", origin.commit), visit("device", origin.device);
    visit("instruction_set", origin.instruction_set), visit("libraries", origin.libraries);
  }
};

const char* version();  // of this library

// What computes here and now on this device.
Origin this_origin(const std::string& device);

// Which sources the program was built from, for origins from now on: only the program knows. To be called before
// anything computes.
void set_commit(const std::string& commit);

std::string origin_words(const Origin& origin);  // "longstride 0.1.0 (32b0433f5a1c), avx2, oneDNN 2.6.3, ..."

}  // namespace longstride
#pragma GCC visibility pop
