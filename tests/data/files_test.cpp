// These tests name files twice, by the same name, by links, and by a folder and what is in it; and files of no kind.
#include "data/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "data/dataset.h"
#include "io/scratch.h"
#include "io/system.h"

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

TEST(Files, ThatArePackedOrOfFormsThatAreNotReadAreNotTakenForText) {
  const auto sentence = [](const std::vector<std::string>& files) {
    return error_words(ErrorKind::invalid_argument, [&] { find_kind(files, false); });
  };
  const std::string or_bytes = ", or --set data.kind=text to take all bytes as they lie";
  EXPECT_EQ(sentence({"a.mp3"}),
            "data.paths: \"a.mp3\" is sound in a form that is not read; make it WAV or FLAC" + or_bytes);
  EXPECT_EQ(sentence({"a.txt", "a.WEBP"}),
            "data.paths: \"a.WEBP\" is a picture in a form that is not read; make it PNG or JPEG" + or_bytes);
  EXPECT_EQ(sentence({"a.png", "a.tar.gz", "a.pdf", "b.gz"}),
            "data.paths: \"a.tar.gz\" is packed (and 2 more files are of such kinds); unpack it" + or_bytes);
  EXPECT_EQ(sentence({"a.mp4"}), "data.paths: \"a.mp4\" is a film; take pictures or sound from it" + or_bytes);
  EXPECT_EQ(sentence({"a.pdf"}), "data.paths: \"a.pdf\" is a packed document; take the text from it" + or_bytes);
  EXPECT_EQ(find_kind({"gz", "mp3/a"}, false), "text");  // no endings
}

TEST(Files, WhatIsNoFileOrEmptyIsSaid) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  put(scratch / "d/a", "1");
  put(scratch / "d/empty", "");
  ASSERT_EQ(::mkfifo((scratch / "d/pipe").c_str(), 0600), 0);
  fs::create_symlink("nowhere", scratch / "d/link");
  DataConfig config;
  config.paths = {scratch / "d"};
  std::string notes;
  DatasetOptions options;
  options.noted = [&](const std::string& sentence) { notes += sentence + "\n"; };
  EXPECT_EQ(Dataset(config, options).describe(), "1 file, 1 byte");
  EXPECT_EQ(notes, "\"" + (scratch / "d/link") + "\" leads nowhere and is left out, and so are 1 more\n\"" +
                       (scratch / "d/empty") + "\" is empty: nothing is learned from it\n");
  EXPECT_EQ(list_files({scratch / "d"}).passed[1].reason, "is no file");
}

TEST(Files, ThatARunWritesAreLeftOutWhereLinksShowThem) {
  const Scratch scratch;
  for (const char* folder : {"d", "run", "run/checkpoints", "run/other"}) fs::create_directory(scratch / folder);
  put(scratch / "d/a", "1");
  put(scratch / "run/checkpoints/c", "12");
  put(scratch / "run/config.json", "{}");
  put(scratch / "run/other/text", "123");
  fs::create_symlink("../run/checkpoints", scratch / "d/folder");
  fs::create_symlink("../run/checkpoints/c", scratch / "d/file");
  fs::create_symlink("../run/log.jsonl", scratch / "d/later");  // is not there yet
  fs::create_symlink("later", scratch / "d/later still");
  fs::create_symlink("../run", scratch / "d/whole");
  fs::create_symlink("../run/other", scratch / "d/other");  // nobody writes there
  DataConfig config;
  config.paths = {scratch / "d"};
  std::string notes;
  DatasetOptions options;
  options.run = scratch / "run";
  options.noted = [&](const std::string& sentence) { notes += sentence + "\n"; };
  EXPECT_EQ(Dataset(config, options).describe(), "2 files, 4 bytes");
  EXPECT_EQ(notes,
            "\"" + (scratch / "d/file") + "\" is written by the run itself and is left out, and so are 3 more\n");
  put(scratch / "run/log.jsonl", "{}");
  EXPECT_EQ(Dataset(config, options).describe(), "2 files, 4 bytes");
  fs::create_hard_link(scratch / "run/config.json", scratch / "d/hard");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { Dataset(config, options); }),
            "data.paths: \"" + (scratch / "d/hard") + "\" is a file that the run \"" + (scratch / "run") +
                "\" writes itself; remove it from the data, or name another --out");
  options.run = "";
  EXPECT_EQ(Dataset(config, options).describe(), "7 files, 14 bytes");  // of no run that is trained
}

TEST(Files, ThatTakeTheWordsOfThisProgramAreLeftOut) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  put(scratch / "d/a", "1");
  put(scratch / "d/log", "words");
  const Descriptor log(open_path(scratch / "d/log", O_WRONLY | O_APPEND)), before(::dup(STDERR_FILENO));
  ASSERT_EQ(::dup2(log.get(), STDERR_FILENO), STDERR_FILENO);
  const FileList found = list_files({scratch / "d"});
  const std::string named = error_words(ErrorKind::invalid_argument, [&] { list_files({scratch / "d/log"}); });
  ::dup2(before.get(), STDERR_FILENO);
  EXPECT_EQ(found.files, std::vector<std::string>{scratch / "d/a"});
  ASSERT_EQ(found.written.size(), 1u);
  EXPECT_EQ(found.written[0].path + " " + found.written[0].reason,
            (scratch / "d/log") + " takes the words of this program");
  EXPECT_EQ(named,
            "data.paths: \"" + (scratch / "d/log") + "\" takes the words of this program itself; name other data");
  EXPECT_EQ(list_files({scratch / "d"}).files.size(), 2u);
}

TEST(Files, ThatPassThemselvesOffAsNothingAreTheWrongOnes) {
  const Scratch scratch;
  put(scratch / "text", "no picture, no sound");
  put(scratch / "torn.png", "no picture");
  put(scratch / "torn.wav", "no sound");
  const auto opened = [&](ErrorKind expected, const char* kind, const char* name) {
    DataConfig config;
    config.kind = kind;
    config.paths = {scratch / name};
    config.image_size = {2, 2};
    config.cache = scratch / "cache";
    error_words(expected, [&] { Dataset{config}; });
  };
  opened(ErrorKind::invalid_argument, "image", "text");
  opened(ErrorKind::corrupt_data, "image", "torn.png");
#ifdef LONGSTRIDE_HAS_SNDFILE
  opened(ErrorKind::invalid_argument, "sound", "text");
  opened(ErrorKind::corrupt_data, "sound", "torn.wav");
#endif
}

TEST(Files, ThatArePackedAreTakenAsBytesWhereThatIsSaid) {
  const Scratch scratch;
  put(scratch / "a.gz", "1234");
  DataConfig config;
  config.paths = {scratch / "a.gz"};
  error_words(ErrorKind::invalid_argument, [&] { Dataset{config}; });
  config.kind = "text";
  EXPECT_EQ(Dataset(config).size(), 4);
}

TEST(Files, IsNotTheFolderThatIsTrainedInto) {
  const Scratch scratch;
  put(scratch / "a", "text");
  fs::create_directory_symlink(".", scratch / "link");
  for (const std::string& name : {scratch / "", scratch / "link"}) {
    EXPECT_EQ(error_words(ErrorKind::invalid_argument,
                          [&] {
                            list_files({name}, {scratch / "", {}});
                          }),
              "data.paths: \"" + name +
                  "\" is the folder that is trained into, whose files are no data; name another "
                  "--out");
  }
  EXPECT_EQ(list_files({scratch / ""}, {scratch / "none", {}}).files.size(), 1u);
}

}  // namespace
}  // namespace longstride
