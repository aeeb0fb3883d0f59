// Inputs that fuzzing found, and one or two plain ones a target: each is read by its target in every build.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

namespace fs = std::filesystem;

const fs::path kKept = fs::path(LONGSTRIDE_SOURCE_DIR) / "tests/fuzz/kept";

std::set<fs::path> entries(const fs::path& folder) {
  return {fs::directory_iterator(folder), fs::directory_iterator()};
}

std::vector<std::uint8_t> bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(KeptInputs, AreReadOrRefusedByTheirTarget) {
  for (const Target& target : targets()) {
    const std::set<fs::path> kept = entries(kKept / target.name);
    EXPECT_FALSE(kept.empty()) << target.name;
    for (const fs::path& path : kept) EXPECT_NO_THROW(run(target, bytes_of(path))) << path;
  }
}

TEST(KeptInputs, BelongToATarget) {
  for (const fs::path& folder : entries(kKept)) {
    const std::string name = folder.filename().string();
    EXPECT_TRUE(std::any_of(targets().begin(), targets().end(), [&](const Target& t) { return t.name == name; }))
        << name;
  }
}

}  // namespace
}  // namespace longstride::fuzz
