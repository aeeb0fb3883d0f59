// These tests change files after a data set was opened, and ask what a run that goes on would find different.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "data/dataset.h"
#include "data/decoded.h"
#include "io/coded.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

// Within one step of its clock a file may change twice and look the same.
TEST(ChangeSince, AFileThatWasJustWrittenIsNotKnownByItsTimes) {
  const Scratch scratch;
  put(scratch / "a", "one text");
  const FileState kept = lasting_state(scratch / "a");
  EXPECT_NE(kept, file_state(scratch / "a"));
  EXPECT_NE(kept, FileState());
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_NE(kept, file_state(scratch / "a"));  // nor later
  EXPECT_EQ(lasting_state(scratch / "a"), file_state(scratch / "a"));
}

TEST(ChangeSince, OfTextIsWhatOpeningItAgainWouldFind) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  put(scratch / "d/a", "one text");
  put(scratch / "d/b", "another");
  DataConfig config;
  config.paths = {scratch / "d"};
  const Dataset data(config);
  const DataMark then = data.mark();
  EXPECT_EQ(data.change_since(then), "");
  put(scratch / "d/new", "one text");
  fs::rename(scratch / "d/new", scratch / "d/a");  // another file of the same bytes
  EXPECT_EQ(data.change_since(then), "");
  put(scratch / "d/.hidden", "no data");
  EXPECT_EQ(data.change_since(then), "");
  put(scratch / "d/c", "more");
  EXPECT_EQ(data.change_since(then), "15 bytes then, 19 now");
  fs::remove(scratch / "d/c");
  put(scratch / "d/a", "One text");
  EXPECT_EQ(data.change_since(then), "15 bytes as then, but not the same ones");
  put(scratch / "d/a", "one text");
  EXPECT_EQ(data.change_since(then), "");
  fs::remove_all(scratch / "d");
  EXPECT_EQ(data.change_since(then), "cannot open \"" + (scratch / "d") + "\": No such file or directory");
}

#ifdef LONGSTRIDE_HAS_SNDFILE

TEST(ChangeSince, OfSoundIsThatOfTheFilesThatItWasDecodedFrom) {
  const Scratch scratch;
  const auto wav = [&](const std::string& name, double sample) {
    put_sound(scratch / name, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 12000, 1, {sample, 0.5});
  };
  fs::create_directory(scratch / "d");
  wav("d/a.wav", 0.25);
  DataConfig config;
  config.paths = {scratch / "d"};
  config.cache = scratch / "cache";
  const Dataset data(config);
  const DataMark then = data.mark();
  const std::size_t decoded = scratch.names().size();
  EXPECT_EQ(data.change_since(then), "");
  wav("d/a.wav", 0.75);
  EXPECT_EQ(data.change_since(then), "not the same bytes as then");
  wav("d/a.wav", 0.25);
  EXPECT_EQ(data.change_since(then), "");
  wav("d/b.wav", 0);
  EXPECT_EQ(data.change_since(then), "1 file then, 2 now");
  fs::rename(scratch / "d/b.wav", scratch / "d/a.wav");
  EXPECT_EQ(data.change_since(then), "not the same bytes as then");
  fs::rename(scratch / "d/a.wav", scratch / "d/c.wav");
  EXPECT_EQ(data.change_since(then), "other files than then");
  EXPECT_EQ(scratch.names().size(), decoded);  // nothing was decoded again
}

#endif

}  // namespace
}  // namespace longstride
