// This holds the list of targets and the folder that their files lie in.
#include "fuzz/harness.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "longstride/error.h"

namespace longstride::fuzz {
namespace {

struct Folder {
  std::string path = (std::filesystem::temp_directory_path() / "longstride-fuzz-XXXXXX").string();
  Folder() { require(::mkdtemp(path.data()) != nullptr, "the temporary folder can be written"); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

std::vector<Target>& targets() {
  static std::vector<Target> all;
  return all;
}

void run(const Target& target, Input bytes) {
  try {
    target.read(bytes);
  } catch (const Error&) {
    // The reader said what is wrong with its input.
  }
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "a reader broke its promise: %s\n", what);
  std::abort();
}

const std::string& folder() {
  static const Folder own;
  return own.path;
}

std::string as_file(Input bytes, const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(folder()) / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  require(file.good(), "the temporary folder can be written");
  return path.string();
}

}  // namespace longstride::fuzz
