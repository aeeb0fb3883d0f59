// A configuration: a JSON text, then after a zero byte each what `--set` was given, split by zero bytes.
#include "longstride/config.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> all;
  for (std::size_t end; (end = text.find('\0')) != std::string_view::npos; text.remove_prefix(end + 1))
    all.emplace_back(text.substr(0, end));
  all.emplace_back(text);
  return all;
}

void read_configuration(Input bytes) {
  std::vector<std::string> given = pieces(as_text(bytes));
  const std::string text = given.front();
  given.erase(given.begin());
  const Config config = read_config({text}, {"config.json"}, given);
  const std::string written = write_config(config);
  require(write_config(read_config({written}, {"written"}, {})) == written,
          "a configuration is read as it was written");
}

const Registered kConfiguration("configuration", read_configuration);

}  // namespace
}  // namespace longstride::fuzz
