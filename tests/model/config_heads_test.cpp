// These tests ask for heads of more channels than attention takes, and name by its option what stands for a key.
#include <gtest/gtest.h>

#include <string>

#include "error_words.h"
#include "longstride/config.h"
#include "longstride/error.h"

namespace longstride {
namespace {

std::string words_of(const std::string& assignment, const std::string& option) {
  return error_words(ErrorKind::invalid_argument, [&] { read_config({}, {}, {assignment}, {option}); });
}

TEST(Heads, HaveNoMoreChannelsThanAttentionTakes) {
  EXPECT_NO_THROW(read_config({}, {}, {"model.width=1024"}, {"--width"}));
  EXPECT_EQ(words_of("model.width=2052", "--width"),
            "model.heads: a head has model.width over model.heads channels, at most 256; got 2052 / 4 = 513, where at "
            "least 9 heads are needed (model.width from --width, model.heads by default)");
  EXPECT_EQ(words_of("model.query_key=5", "--set"),
            "model.query_key: queries of a head have it times model.width over model.heads channels, at most 256; got "
            "5 x 256 / 4 = 320 (model.width by default, model.heads by default, model.query_key from --set)");
}

TEST(Heads, PatternsThatAreNoListAreNamedByTheirOption) {
  EXPECT_EQ(words_of("model.attention=[\"local(7)\",", "--attention"),
            "--attention [\"local(7)\",: the value is not valid JSON; texts in a list need quotation marks: [\"a\", "
            "\"b\"]");
}

}  // namespace
}  // namespace longstride
