// The log of a run that is resumed: which of its lines stay.
#include "io/file.h"

#include "fuzz/harness.h"
#include "train/log_lines.h"

namespace longstride::fuzz {
namespace {

void keep_lines(Input bytes) {
  const std::string path = as_file(bytes, "log.jsonl");
  Progress before;
  before.step = before.validated_step = before.sampled_step = 100;
  const auto keep_known = [&] {
    KeptLines known(before);
    {
      const LineWriter log(path, [&](std::string_view line) { return known.keep(line); });
    }
    return known.problems();
  };
  keep_known();
  const std::string kept = read_text(path);
  require(kept.size() <= bytes.size() && (kept.empty() || kept.back() == '\n'), "a log keeps whole lines");
  keep_known();
  require(read_text(path) == kept, "what was kept once is kept again");
}

const Registered kLog("log", keep_lines);

}  // namespace
}  // namespace longstride::fuzz
