// model.attention as `longstride pattern` takes it: a bare pattern, or the JSON of a layout.
#include "longstride/config.h"

#include "fuzz/harness.h"

namespace longstride::fuzz {
namespace {

void read_layout(Input bytes) {
  const AttentionLayout layout = read_attention(std::string(as_text(bytes)));
  const std::string written = write_attention(layout);
  require(write_attention(read_attention(written)) == written, "a layout is read as it was written");
}

const Registered kAttention("attention", read_layout);

}  // namespace
}  // namespace longstride::fuzz
