// These tests name files and folders that the user may not read.
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "data/dataset.h"
#include "io/scratch.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

DataConfig text_at(std::vector<std::string> paths) {
  DataConfig config;
  config.paths = std::move(paths);
  return config;
}

std::string bytes_in(const Dataset& data) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(data.size()));
  data.read(0, bytes);
  return {bytes.begin(), bytes.end()};
}

std::string refusal_to_open(ErrorKind kind, const DataConfig& config) {
  return error_words(kind, [&] { Dataset data(config); });
}

// While it lives, root is a user who may not read everything.
class Nobody {
 public:
  explicit Nobody(const Scratch& scratch) {
    ::chmod(scratch.path().c_str(), 0777);
    if (user_ == 0) {
      EXPECT_EQ(::seteuid(65534), 0);
    }
  }
  ~Nobody() {
    if (user_ == 0) {
      EXPECT_EQ(::seteuid(0), 0);
    }
  }

 private:
  uid_t user_ = ::geteuid();
};

TEST(RefusedFiles, AreErrorsThatNameThemOrLeftOut) {
  const Scratch scratch;
  fs::create_directories(scratch / "d/closed");
  fs::create_directories(scratch / "d/listed");
  for (const char* name : {"d/a", "d/b", "d/closed/c", "d/listed/d"}) put(scratch / name, std::string(name) + " ");
  ::chmod((scratch / "d/a").c_str(), 0);
  const Nobody nobody(scratch);
  const auto denied = [&](const char* action, const char* name) {
    return fmt::format("cannot {} \"{}\": Permission denied", action, scratch / name);
  };
  EXPECT_EQ(refusal_to_open(ErrorKind::exhausted, text_at({scratch / "d"})), denied("open", "d/a"));
  DataConfig config = text_at({scratch / "d", scratch / "d/a"});
  config.unreadable = Unreadable::skip;
  std::string noted;
  const auto open = [&] {
    return Dataset(config, {"", nullptr, nullptr, [&](const std::string& sentence) { noted = sentence; }});
  };
  EXPECT_EQ(bytes_in(open()), "d/b d/closed/c d/listed/d ");
  EXPECT_EQ(open().describe(), "3 files, 26 bytes, 2 files left out");
  EXPECT_EQ(noted, "2 files were left out because they cannot be read: " + denied("open", "d/a") + "; " +
                       denied("open", "d/a"));
  config.paths = {scratch / "d/a"};
  EXPECT_EQ(refusal_to_open(ErrorKind::exhausted, config), "nothing could be read: " + denied("open", "d/a"));
}

TEST(RefusedFiles, FoldersThatMayNotBeReadAreErrorsOrLeftOut) {
  const Scratch scratch;
  for (const char* folder : {"d", "d/closed", "d/listed"}) fs::create_directory(scratch / folder);
  for (const char* name : {"d/b", "d/closed/c", "d/listed/d"}) put(scratch / name, std::string(name) + " ");
  ::chmod((scratch / "d/closed").c_str(), 0);     // its files are not known
  ::chmod((scratch / "d/listed").c_str(), 0444);  // their names are, and no more
  {
    const Nobody nobody(scratch);
    refusal_to_open(ErrorKind::exhausted, text_at({scratch / "d"}));
    refusal_to_open(ErrorKind::exhausted, text_at({scratch / "d/listed"}));
    DataConfig config = text_at({scratch / "d"});
    config.unreadable = Unreadable::skip;
    EXPECT_EQ(bytes_in(Dataset(config)), "d/b ");
    EXPECT_EQ(Dataset(config).describe(), "1 file, 4 bytes, 1 folder and 1 file left out");
  }
  for (const char* folder : {"d/closed", "d/listed"}) ::chmod((scratch / folder).c_str(), 0755);  // to be removed
}

}  // namespace
}  // namespace longstride
