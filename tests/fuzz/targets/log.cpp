// The log of a run that is resumed: which of its lines stay.
#include "io/file.h"

#include "fuzz/harness.h"
#include "train/journal.h"

namespace longstride::fuzz {
namespace {

void keep_lines(Input bytes) {
  const std::string path = as_file(bytes, "log.jsonl");
  const auto keep = [](std::string_view line) {
    Progress before;
    before.step = before.validated_step = before.sampled_step = 100;
    return is_known(line, before);
  };
  { const LineWriter log(path, keep); }
  const std::string kept = read_text(path);
  require(kept.size() <= bytes.size() && (kept.empty() || kept.back() == '\n'), "a log keeps whole lines");
  { const LineWriter log(path, keep); }
  require(read_text(path) == kept, "what was kept once is kept again");
}

const Registered kLog("log", keep_lines);

}  // namespace
}  // namespace longstride::fuzz
