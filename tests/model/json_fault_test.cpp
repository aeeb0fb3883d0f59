// These tests read what is said of texts that are no JSON, and hold the search for faults against the parser.
#include "model/json_fault.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "error_words.h"
#include "model/config_fields.h"

namespace longstride {
namespace {

std::string words_of(const std::string& text) {
  return error_words(ErrorKind::invalid_argument, [&] { parse_json(text, "my.json"); });
}

TEST(JsonFault, IsSaidWithItsLineAndItsColumn) {
  const std::string values =
      " is no value; texts need quotation marks, numbers are like -1, 0.5 or 1e-3, and the only words are true, false "
      "and null";
  const auto at = [](const std::string& place, const std::string& words) {
    return "my.json is not valid JSON: " + place + ": " + words;
  };
  EXPECT_EQ(words_of("nix"), at("line 1, column 1", "\"nix\"" + values));
  EXPECT_EQ(words_of("{\n \"a\": True}"), at("line 2, column 7", "\"True\"" + values));
  EXPECT_EQ(words_of("{\"a\": .5}"), at("line 1, column 7", "\".5\"" + values));
  EXPECT_EQ(words_of("{\"a\": 1 \"b\": 2}"), at("line 1, column 9", "a comma or } is missing before \"\\\"\""));
  EXPECT_EQ(words_of("[1 2]"), at("line 1, column 4", "a comma or ] is missing before \"2\""));
  EXPECT_EQ(words_of("{\"a\" 64}"), at("line 1, column 6", "a colon is missing before \"64\""));
  EXPECT_EQ(words_of("{\"a\": }"), at("line 1, column 7", "a value is missing before \"}\""));
  EXPECT_EQ(words_of("{\"a\": 1, }"), at("line 1, column 8", "the comma before } is one too many"));
  EXPECT_EQ(words_of("{a: 1}"), at("line 1, column 2", "a key in quotation marks is needed, got \"a\""));
  EXPECT_EQ(words_of("{\"a\": {\n\"b\": 1"),
            at("line 1, column 7", "the text ends before the { that stands here is closed"));
  EXPECT_EQ(words_of("{\"a\":"), at("line 1, column 6", "the text ends where a value is needed"));
  EXPECT_EQ(words_of("{} {}"), at("line 1, column 4", "nothing may follow the end of what was begun, got \"{\""));
  EXPECT_EQ(words_of("{\"a: 1}\n"),
            at("line 1, column 2", "the text that begins here has no closing quotation mark on its line"));
  EXPECT_EQ(words_of("{\"a\": \"\t\"}"),
            at("line 1, column 8", "a text may not hold the control character U+0009 as it is; write \\u0009"));
  EXPECT_TRUE(words_of("{\"a\": \"C:\\data\"}").starts_with(at("line 1, column 10", "a backslash begins ")));
  EXPECT_EQ(words_of("\xef\xbb\xbf{} 1"),
            at("line 1, column 7", "nothing may follow the end of what was begun, got \"1\""));
  EXPECT_EQ(words_of("{} /* more"), at("line 1, column 4", "the comment that begins here has no end"));
}

TEST(JsonFault, OfAnEmptyTextIsThatItIsEmpty) {
  for (const char* text : {"", " \n"})
    EXPECT_EQ(words_of(text), "my.json is empty; needs an object with keys, such as {\"training\": {\"steps\": 100}}");
}

// What the parser takes has no fault, and what it refuses has one, or is one of the library's words that are not ours.
RC_GTEST_PROP(JsonFault, IsFoundWhereTheParserFindsOne, ()) {
  const auto pieces = *rc::gen::container<std::vector<std::string>>(
      rc::gen::element<std::string>("{", "}", "[", "]", ",", ":", "\"a\"", "1", "-", "0.5", "true", "nul", "\"", "\\",
                                    "//c\n", "/*", "*/", " ", "\n"));
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  RC_ASSERT(nlohmann::json::accept(text, true) == !find_json_fault(text).has_value());
}

}  // namespace
}  // namespace longstride
