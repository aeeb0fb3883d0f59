// What stands beside decoded data and says whether they are still those of their files. Whatever it says, data come out
// that were made from the files, or a copy of them that the manifest fits.
#include "data/decoded.h"

#include <filesystem>

#include "fuzz/harness.h"
#include "io/system.h"

namespace longstride::fuzz {
namespace {

void open_decoded(Input bytes) {
  static const std::string source = as_file(as_bytes("what the data are made from"), "source");
  const DecodedPlace place{folder() + "/cache", {}};
  const auto decode = [](AtomicFile& out) {
    out.append(as_bytes("data"));
    return Decoding{};
  };
  static const DecodedFile made = open_or_decode(place, "recipe", {source}, decode);
  const std::string name = std::filesystem::path(made.path).stem().string();
  as_file(bytes, "cache/" + name + ".json");
  require(open_or_decode(place, "recipe", {source}, decode).path == made.path, "data lie where they lay");
  require(read_text(made.path) == "data", "data are those of their files");
}

const Registered kManifest("manifest", open_decoded);

}  // namespace
}  // namespace longstride::fuzz
