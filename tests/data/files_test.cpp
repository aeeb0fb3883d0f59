// These tests name files twice: by the same name, by links, and by a folder and what is in it.
#include "data/files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "data/dataset.h"
#include "io/scratch.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;
using Again = std::vector<std::pair<std::string, std::string>>;

TEST(Files, ThatAreNamedTwiceAreKnown) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  put(scratch / "d/a", "1");
  put(scratch / "d/b", "1");  // the same bytes in another file
  EXPECT_EQ(list_files({scratch / "d"}).again, Again{});
  EXPECT_EQ(list_files({scratch / "d", scratch / "d/b"}).again, (Again{{scratch / "d/b", scratch / "d/b"}}));
  fs::create_symlink("a", scratch / "d/c");
  fs::create_hard_link(scratch / "d/b", scratch / "d/d");
  EXPECT_EQ(list_files({scratch / "d"}).again,
            (Again{{scratch / "d/c", scratch / "d/a"}, {scratch / "d/d", scratch / "d/b"}}));
}

TEST(Files, ThatAreNamedTwiceAreSaid) {
  const Scratch scratch;
  put(scratch / "a", "1");
  DataConfig config;
  config.kind = "text";
  config.paths = {scratch / "a", scratch / "a", scratch.path() + "/./a"};
  std::string notes;
  DatasetOptions options;
  options.noted = [&](const std::string& sentence) { notes += sentence + "\n"; };
  EXPECT_EQ(Dataset(config, options).size(), 3);
  EXPECT_EQ(notes, "\"" + (scratch / "a") + "\" is read again, it is the same file as \"" + (scratch / "a") +
                       "\", and so are 1 more: what is learned from one may be scored in the other\n");
}

}  // namespace
}  // namespace longstride
