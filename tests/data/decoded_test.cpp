// These tests change sources and decoded data behind each other's back: what was made from one is never taken for the
// other.
#include "data/decoded.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "io/scratch.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

class DecodedData : public testing::Test {
 protected:
  DecodedData() { put(source(), "one"); }
  std::string source() const { return scratch_ / "source"; }
  std::string decoded() const { return find(".data"); }

  // What is there, decoded as it is: its own bytes.
  std::string open() {
    return get(open_or_decode({scratch_ / "cache", {}}, "recipe", {source()}, [&](AtomicFile& out) {
                 ++decodings_;
                 out.append(InputFile(source()).all());
                 meanwhile_();
                 return Decoding{};
               }).path);
  }

  std::string find(const std::string& ending) const {
    for (const std::string& name : scratch_.names())
      if (name.ends_with(ending)) return scratch_ / name;
    return "";
  }

  Scratch scratch_;
  int decodings_ = 0;
  std::function<void()> meanwhile_ = [] {};
};

TEST_F(DecodedData, OfOtherBytesAndTheSameSizeAreMadeAgain) {
  EXPECT_EQ(open(), "one");
  EXPECT_EQ(open(), "one");
  EXPECT_EQ(decodings_, 1);
  const fs::file_time_type time = fs::last_write_time(decoded());
  put(decoded(), "two");
  fs::last_write_time(decoded(), time);
  EXPECT_EQ(open(), "one");
  EXPECT_EQ(decodings_, 2);
}

TEST_F(DecodedData, ThatWereCopiedAreNotMadeAgain) {
  open();
  fs::copy(scratch_ / "cache", scratch_ / "copy");
  fs::remove_all(scratch_ / "cache");
  fs::rename(scratch_ / "copy", scratch_ / "cache");
  EXPECT_EQ(open(), "one");
  EXPECT_EQ(decodings_, 1);
}

TEST_F(DecodedData, OfASourceThatChangesMeanwhileAreNotKept) {
  meanwhile_ = [&] { put(source(), "two"); };
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { open(); }), "\"" + source() + "\" changed while it was decoded");
  EXPECT_EQ(decoded(), "");
  meanwhile_ = [] {};
  EXPECT_EQ(open(), "two");
}

}  // namespace
}  // namespace longstride
