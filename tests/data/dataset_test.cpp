// These tests hold a data set against the files that it was made of.
#include "data/dataset.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <rapidcheck.h>

#include "io/scratch.h"
#include "io/sha256.h"
#include "io/system.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

DataConfig data_at(std::vector<std::string> paths) {
  DataConfig config;
  config.paths = std::move(paths);
  return config;
}

std::string all_bytes(const Dataset& data) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(data.size()));
  data.read(0, bytes);
  return {bytes.begin(), bytes.end()};
}

std::string opening(ErrorKind kind, const DataConfig& config) {
  return error_words(kind, [&] { Dataset data(config); });
}

TEST(Dataset, JoinsFilesInTheOrderGiven) {
  const Scratch scratch;
  put(scratch / "b", "first ");
  put(scratch / "a", "second");
  const Dataset data(data_at({scratch / "b", scratch / "a"}));
  EXPECT_EQ(all_bytes(data), "first second");
  EXPECT_EQ(data.kind(), "text");
  EXPECT_EQ(data.describe(), "2 files, 12 bytes");
}

TEST(Dataset, AFolderStandsForAllItsFilesSortedByPathWithoutHiddenOnes) {
  const Scratch scratch;
  fs::create_directories(scratch / "books/b/deep");
  fs::create_directories(scratch / "books/.git");
  put(scratch / "books/z", "5");
  put(scratch / "books/a", "1");
  put(scratch / "books/b/2", "2");
  put(scratch / "books/b/deep/3", "3");
  put(scratch / "books/c", "4");
  put(scratch / "books/.hidden", "no");
  put(scratch / "books/.git/config", "no");
  put(scratch / "books/empty", "");
  const Dataset data(data_at({scratch / "books"}));
  EXPECT_EQ(all_bytes(data), "12345");
  EXPECT_EQ(data.describe(), "5 files, 5 bytes");
}

// The same files at the start of a run and afterwards, when its folder lies among them.
TEST(Dataset, RunsAndDecodedDataThatLieAmongTheFilesAreLeftOut) {
  const Scratch scratch;
  put(scratch / "a", "1");
  DatasetOptions options;
  std::string notes;
  options.noted = [&](const std::string& sentence) { notes += sentence + "\n"; };
  options.run = scratch / "here";
  options.cache = scratch / "cache";
  const auto bytes = [&] { return all_bytes(Dataset(data_at({scratch.path()}), options)); };
  EXPECT_EQ(bytes(), "1");
  fs::create_directories(scratch / "here/cache");
  put(scratch / "here/cache/0123456789abcdef01234567.data", "no");  // not yet a run
  fs::create_directory(scratch / "cache");
  put(scratch / "cache/0123456789abcdef01234567.data", "no");
  put(scratch / "cache/0123456789abcdef01234567.json.12-0.partial", "no");
  EXPECT_EQ(bytes(), "1");
  EXPECT_EQ(notes, "");
  fs::create_directories(scratch / "other/checkpoints/000000001");
  put(scratch / "other/checkpoints/000000001/model.safetensors", "no");
  put(scratch / "other/config.json", "no");
  EXPECT_EQ(bytes(), "1");
  EXPECT_EQ(notes, "the run \"" + (scratch / "other") + "\" among the data is left out\n");
  fs::create_directories(scratch / "last/checkpoints");
  put(scratch / "last/config.json", "no");
  put(scratch / "cache/own", "2");
  EXPECT_EQ(bytes(), "12");
  EXPECT_NE(notes.find("2 runs among the data are left out, \"" + (scratch / "last") + "\" first\n"),
            std::string::npos);
  fs::remove(scratch / "other/config.json");  // a folder like any other
  EXPECT_EQ(bytes(), "12no");
  DataConfig kinds = data_at({scratch.path()});
  kinds.kind = "";
  put(scratch / "here/picture.png", "no");
  EXPECT_EQ(find_kind(kinds, options.run), "text");
  error_words(ErrorKind::invalid_argument, [&] { find_kind(kinds); });
}

TEST(Dataset, ARunThatIsNamedIsNoData) {
  const Scratch scratch;
  fs::create_directories(scratch / "run/checkpoints");
  put(scratch / "run/config.json", "1");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { Dataset{data_at({scratch / "run"})}; }),
            "data.paths: \"" + (scratch / "run") +
                "\" is a run, whose files are no data; where it is meant as RUN, put it before --data");
}

TEST(Dataset, FilesThatChangeWhileTheyAreInUseAreAnErrorThatNamesThem) {
  const Scratch scratch;
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {60, before.rlim_max};  // of 40 files the first 30 are held open
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto name = [&](int number) { return scratch / fmt::format("{:02}", number); };
  for (int number = 0; number < 40; ++number) put(name(number), std::string(100, 'a'));
  const Dataset data(data_at({scratch.path()}));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const int number : {3, 35}) write_file_atomically(name(number), std::string(100, 'b'));
  std::vector<std::uint8_t> bytes(3500);
  data.read(0, bytes);  // the third that was opened
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), std::string(3500, 'a'));
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { all_bytes(data); }),
            "\"" + name(35) + "\" was replaced by another file while it was in use");
  for (const int number : {1, 39}) {
    fs::resize_file(name(number), 40);
    EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { data.read(100 * number + 30, std::span(bytes).first(20)); }),
              "\"" + name(number) + "\" became shorter while it was read");
  }
}

TEST(Dataset, IsKnownByItsBytesAndParts) {
  const Scratch scratch;
  const auto mark = [&](const std::string& text) {
    put(scratch / "a", text);
    return Dataset(data_at({scratch / "a"})).mark();
  };
  const DataMark one = mark("some text");
  EXPECT_EQ(one, mark("some text"));
  EXPECT_EQ(difference_words(one, mark("some text, and more")), "9 bytes then, 19 now");
  EXPECT_NE(one, mark("some test"));
  EXPECT_EQ(difference_words(one, mark("some test")), "9 bytes as then, but not the same ones");
}

// Beyond 64 MiB blocks are read: the first, the last, and what lies between at equal distances.
TEST(Dataset, IsKnownByBlocksWhereItIsLarge) {
  const Scratch scratch;
  put(scratch / "a", "");
  constexpr std::int64_t kSize = (std::int64_t{1} << 32) + 12345;
  fs::resize_file(scratch / "a", kSize);
  const auto mark = [&] { return Dataset(data_at({scratch / "a"})).mark(); };
  const DataMark before = mark();
  for (const std::int64_t at : {std::int64_t{0}, (kSize - 4096) / 1023 * 500 + 2000, kSize - 1}) {
    std::fstream file(scratch / "a", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.put('x');
    file.close();
    EXPECT_NE(mark(), before) << at;
    std::fstream again(scratch / "a", std::ios::in | std::ios::out | std::ios::binary);
    again.seekp(at);
    again.put('\0');
    again.close();
    EXPECT_EQ(mark(), before) << at;
  }
}

TEST(Dataset, LinksAreFollowedAndLoopsEnd) {
  const Scratch scratch;
  fs::create_directories(scratch / "d/sub");
  put(scratch / "text", "linked");
  put(scratch / "d/sub/own", "own");
  fs::create_symlink("../..", scratch / "d/sub/up");
  fs::create_symlink(".", scratch / "d/self");
  fs::create_symlink("../text", scratch / "d/zlink");
  fs::create_symlink("nowhere", scratch / "d/dangling");
  EXPECT_EQ(all_bytes(Dataset(data_at({scratch / "d"}))),
            "own"
            "linked"
            "linked");  // up/text, then zlink
}

TEST(Dataset, ReadsAcrossFilesAtEveryOffset) {
  const Scratch scratch;
  const bool holds = rc::check([&](const std::vector<std::string>& texts) {
    DataConfig config;
    config.kind = "text";  // whatever the bytes look like
    std::string joined = "x";
    put(scratch / "0", joined);
    config.paths.push_back(scratch / "0");
    for (std::size_t i = 0; i < texts.size(); ++i) {
      config.paths.push_back(scratch / fmt::format("{}", i + 1));
      put(config.paths.back(), texts[i]);
      joined += texts[i];
    }
    const Dataset data(config);
    RC_ASSERT(data.size() == static_cast<std::int64_t>(joined.size()));
    const auto begin = *rc::gen::inRange<std::size_t>(0, joined.size() + 1);
    const auto count = *rc::gen::inRange<std::size_t>(0, joined.size() - begin + 1);
    std::vector<std::uint8_t> bytes(count);
    data.read(static_cast<std::int64_t>(begin), bytes);
    RC_ASSERT(std::string(bytes.begin(), bytes.end()) == joined.substr(begin, count));
    const ByteRange range{static_cast<std::int64_t>(begin), static_cast<std::int64_t>(begin + count)};
    RC_ASSERT(data.sha256(range) == sha256_hex(as_bytes(joined.substr(begin, count))));
  });
  EXPECT_TRUE(holds);
}

TEST(Dataset, AReadOutsideIsAnError) {
  const Scratch scratch;
  put(scratch / "a", "0123456789");
  const Dataset data(data_at({scratch / "a"}));
  std::vector<std::uint8_t> bytes(4);
  data.read(6, bytes);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { data.read(7, bytes); }),
            "dataset: read of 4 bytes at 7 lies outside 10 bytes");
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { data.read(-1, bytes); }),
            "dataset: read of 4 bytes at -1 lies outside 10 bytes");
}

TEST(Dataset, NamesTheFirstByteThatIsNoTokenAndItsFile) {
  const Scratch scratch;
  put(scratch / "a", std::string(3'000'000, 'a'));
  put(scratch / "b", std::string(2'500'000, 'b') + "\xe9" + std::string(10, '\xff'));
  const Dataset data(data_at({scratch / "a", scratch / "b"}));
  const auto words = [&](ByteRange range, std::int64_t vocabulary) {
    return error_words(ErrorKind::invalid_argument, [&] { data.require_vocabulary(range, vocabulary); });
  };
  EXPECT_EQ(words({0, data.size()}, 128),
            "\"" + (scratch / "b") +
                "\": byte 233 at 2500000 is outside model.vocabulary, 128; other data or a "
                "larger one is needed, 256 for any");
  EXPECT_NE(words({0, data.size()}, 255).find("byte 255 at 2500001"), std::string::npos);
  EXPECT_NE(words({0, 1}, 97).find("byte 97 at 0"), std::string::npos);
  data.require_vocabulary({0, 5'500'000}, 99);  // what is not read may hold anything
  data.require_vocabulary({0, data.size()}, 256);
  data.require_vocabulary({0, data.size()}, 65536);
  const std::atomic<bool> stop = true;
  EXPECT_EQ(error_words(ErrorKind::stopped,
                        [&] {
                          data.require_vocabulary({0, 1}, 128, &stop);
                        }),
            "data: stopped before all was looked at");
}

TEST(Dataset, ReadsFilesBeyondTheNumberOfMaps) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  constexpr int kFiles = 16384 + 3;
  std::string joined;
  for (int i = 0; i < kFiles; ++i) {
    const std::string text = fmt::format("{:05}", i);
    put(scratch / ("d/" + text), text);
    joined += text;
  }
  const Dataset data(data_at({scratch / "d"}));
  EXPECT_EQ(all_bytes(data), joined);
  put(scratch / "d/16385", "16");
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { all_bytes(data); }),
            "\"" + (scratch / "d/16385") + "\" became shorter while it was read");
}

TEST(Dataset, OpensAFileLargerThanMemoryAndReadsItsEnd) {
  const Scratch scratch;
  put(scratch / "a", "");
  const std::int64_t size = std::int64_t{1} << 40;
  if (::truncate((scratch / "a").c_str(), size) != 0) GTEST_SKIP() << "the file system has no sparse files";
  const Dataset data(data_at({scratch / "a"}));
  EXPECT_EQ(data.describe(), "1 file, 1,099,511,627,776 bytes");
  std::vector<std::uint8_t> bytes(8, 1);
  data.read(size - 8, bytes);
  EXPECT_EQ(bytes, std::vector<std::uint8_t>(8, 0));
}

TEST(Dataset, PartsFollowOneAnotherWithoutGap) {
  const Scratch scratch;
  put(scratch / "a", std::string(1000, 'x'));
  DataConfig config = data_at({scratch / "a"});
  const Dataset data(config);
  EXPECT_EQ(data.part(Split::train), (ByteRange{0, 900}));
  EXPECT_EQ(data.part(Split::valid), (ByteRange{900, 950}));
  EXPECT_EQ(data.part(Split::test), (ByteRange{950, 1000}));
  EXPECT_EQ(data.part(Split::all), (ByteRange{0, 1000}));
  config.split = {1, 0, 0};
  EXPECT_EQ(Dataset(config).part(Split::train), (ByteRange{0, 1000}));
  config.split = {0.5, 0.5, 0};
  EXPECT_EQ(Dataset(config).part(Split::valid), (ByteRange{500, 1000}));
}

TEST(Dataset, PartsOfEnwik8AreThePapers) {
  const Scratch scratch;
  put(scratch / "a", "");
  ASSERT_EQ(::truncate((scratch / "a").c_str(), 100'000'000), 0);
  const Dataset data(data_at({scratch / "a"}));
  EXPECT_EQ(data.part(Split::train), (ByteRange{0, 90'000'000}));
  EXPECT_EQ(data.part(Split::valid), (ByteRange{90'000'000, 95'000'000}));
  EXPECT_EQ(data.part(Split::test), (ByteRange{95'000'000, 100'000'000}));
}

TEST(Dataset, PartsOfRandomSharesPartitionTheData) {
  const Scratch scratch;
  const bool holds = rc::check([&]() {
    const std::int64_t size = *rc::gen::inRange<std::int64_t>(1, 3000);
    put(scratch / "a", std::string(static_cast<std::size_t>(size), 'x'));
    const int a = *rc::gen::inRange(0, 8), b = *rc::gen::inRange(0, 8), c = *rc::gen::inRange(a + b == 0 ? 1 : 0, 8);
    const double sum = a + b + c;
    DataConfig config = data_at({scratch / "a"});
    config.split = {a / sum, b / sum, c / sum};
    const Dataset data(config);
    const ByteRange train = data.part(Split::train), valid = data.part(Split::valid), test = data.part(Split::test);
    RC_ASSERT(train.begin == 0);
    RC_ASSERT(train.end == valid.begin);
    RC_ASSERT(valid.end == test.begin);
    RC_ASSERT(test.end == size);
    RC_ASSERT(std::abs(static_cast<double>(train.size()) - a / sum * static_cast<double>(size)) <= 0.5 + 1e-6);
    RC_ASSERT(std::abs(static_cast<double>(valid.size()) - b / sum * static_cast<double>(size)) <= 1 + 1e-6);
  });
  EXPECT_TRUE(holds);
}

TEST(Dataset, SharesThatDoNotSumToOneAreAnError) {
  DataConfig config = data_at({"a"});
  config.split = {0.9, 0.2, 0.05};
  EXPECT_EQ(opening(ErrorKind::invalid_argument, config),
            "data.split: needs three shares (train, valid, test) that sum to 1, got [0.9, 0.2, 0.05]");
  config.split = {1.5, -0.5, 0};
  opening(ErrorKind::invalid_argument, config);
  config.split = {1};
  opening(ErrorKind::invalid_argument, config);
}

TEST(Dataset, MissingAndEmptyDataAreErrorsThatNameItAndTheRemedy) {
  const Scratch scratch;
  EXPECT_EQ(opening(ErrorKind::invalid_argument, data_at({})),
            "data.paths: no data was given; name files or folders with --data");
  EXPECT_EQ(opening(ErrorKind::invalid_argument, data_at({"/nowhere/a.txt"})),
            "cannot open \"/nowhere/a.txt\": No such file or directory");
  put(scratch / "a", "");
  EXPECT_EQ(opening(ErrorKind::invalid_argument, data_at({scratch / "a"})),
            "\"" + (scratch / "a") + "\" is empty; name a file with data");
  EXPECT_EQ(opening(ErrorKind::invalid_argument, data_at({scratch / "a", scratch / "a"})),
            "\"" + (scratch / "a") + "\" and 1 more files are all empty; name files with data");
  fs::create_directory(scratch / "d");
  put(scratch / "d/.hidden", "text");
  EXPECT_EQ(opening(ErrorKind::invalid_argument, data_at({scratch / "d"})),
            "\"" + (scratch / "d") + "\": the folder holds no files (hidden ones and those of runs do not count)");
}

TEST(Dataset, FindsItsKindFromTheFilesAndRefusesAMixture) {
  const Scratch scratch;
  fs::create_directory(scratch / "d");
  put(scratch / "d/a.PNG", "text");
  put(scratch / "d/b.jpg", "text");
  opening(ErrorKind::corrupt_data, data_at({scratch / "d"}));  // no pictures, whatever they are called
  put(scratch / "a.wav", "text");
  opening(ErrorKind::invalid_argument, data_at({scratch / "a.wav"}));  // data.cache is nowhere
  DataConfig config = data_at({scratch / "d"});
  config.kind = "text";
  EXPECT_EQ(Dataset(config).size(), 8);
  config.kind = "video";
  EXPECT_EQ(opening(ErrorKind::invalid_argument, config), "data.kind: needs text, image or sound, got \"video\"");
  put(scratch / "d/readme.txt", "text");
  EXPECT_EQ(opening(ErrorKind::invalid_argument, data_at({scratch / "d"})),
            fmt::format("data.paths: \"{}\" is image, \"{}\" is text; name files of one kind, or --set data.kind=text "
                        "to take all as bytes, or --set data.kind=image --set data.unreadable=skip to leave others out",
                        scratch / "d/a.PNG", scratch / "d/readme.txt"));
  opening(ErrorKind::invalid_argument, data_at({scratch / "a.wav", scratch / "d/a.PNG"}));
}

TEST(Dataset, APartShorterThanAContextIsAnErrorThatNamesFileAndRemedy) {
  const Scratch scratch;
  put(scratch / "a", std::string(1000, 'x'));
  put(scratch / "b", std::string(1000, 'x'));
  const Dataset data(data_at({scratch / "a"}));
  data.require_context(Split::train, 900);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { data.require_context(Split::train, 1024); }),
            "\"" + (scratch / "a") +
                "\": the train part has 900 of 1,000 bytes, less than one context of 1,024; give more data or "
                "--set model.context=900");
  const Dataset two(data_at({scratch / "a", scratch / "b"}));
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { two.require_context(Split::all, 4096); }),
            "\"" + (scratch / "a") +
                "\" and 1 more: the data has 2,000 of 2,000 bytes, less than one context of 4,096; give more data or "
                "--set model.context=2000");
}

TEST(Split, IsReadFromItsWord) {
  for (const Split split : {Split::train, Split::valid, Split::test, Split::all}) {
    EXPECT_EQ(parse_split(to_string(split)), split);
  }
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { parse_split("dev"); }),
            "--split: needs train, valid, test or all, got \"dev\"");
}

}  // namespace
}  // namespace longstride
