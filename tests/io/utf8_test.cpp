// These tests hold the spelling of paths in JSON against every byte.
#include "io/utf8.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <nlohmann/json.hpp>

namespace longstride {
namespace {

TEST(Utf8, PathsOfAnyBytesComeBackFromJson) {
  const bool holds = rc::check([](std::string path) {
    std::erase(path, '\0');
    const nlohmann::json json = json_of_path(path);
    const auto back = nlohmann::json::parse(json.dump()).get<std::string>();  // throws where it is no UTF-8
    RC_ASSERT(path_of_json(back) == std::optional(path));
    if (valid_utf8(path) == path) RC_ASSERT(back == path);
  });
  EXPECT_TRUE(holds);
}

TEST(Utf8, AForeignByteIsANulAndItsDigits) {
  EXPECT_EQ(json_of_path("caf\xe9.txt"), std::string("caf\0e9.txt", 10));
  EXPECT_EQ(path_of_json(std::string("caf\0e9.txt", 10)), "caf\xe9.txt");
  EXPECT_EQ(json_of_path("café"), "café");
  for (const std::string& wrong : {std::string("a\0", 2), std::string("a\0e", 3), std::string("a\0E9", 4),
                                   std::string("a\0"
                                               "41",
                                               4),
                                   std::string("\0\0e9", 4)}) {
    EXPECT_FALSE(path_of_json(wrong)) << wrong.size();
  }
}

TEST(Utf8, AJsonTextMayHoldForeignBytesAsTheyAre) {
  const auto json = nlohmann::json::parse(as_json_text("[\"caf\xe9.txt\", \"é\"]"));
  EXPECT_EQ(path_of_json(json[0].get<std::string>()), "caf\xe9.txt");
  EXPECT_EQ(json[1], "é");
}

}  // namespace
}  // namespace longstride
