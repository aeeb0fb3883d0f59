// What a Dataset serves, for tests/reference/test_data.py: its bytes in a file, and on standard output one JSON object
// of its kind, parts, words and notes.
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "data/dataset.h"

namespace {

using namespace longstride;

nlohmann::json dump(const std::string& out, const std::vector<std::string>& assignments) {
  Config config = read_config({}, {}, assignments);
  std::vector<std::string> notes;
  DatasetOptions options;
  options.cache = out + ".cache";
  options.noted = [&](const std::string& sentence) { notes.push_back(sentence); };
  const Dataset data(config.data, options);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(data.size()));
  data.read(0, bytes);
  std::ofstream(out, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), data.size());
  nlohmann::json parts;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const ByteRange range = data.part(split);
    parts[to_string(split)] = {range.begin, range.end};
  }
  return {{"kind", data.kind()},
          {"unit", data.unit()},
          {"describe", data.describe()},
          {"image_size", data.config().image_size},
          {"channels", data.config().channels},
          {"parts", parts},
          {"notes", notes}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "data_dump OUT data.paths=... [data.KEY=VALUE]...\n";
    return 2;
  }
  try {
    std::cout << dump(argv[1], {argv + 2, argv + argc}).dump() << '\n';
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
