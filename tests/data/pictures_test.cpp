// These tests hold pictures as data against the files that they were decoded from.
#include <fmt/format.h>

#include "data/crop_resize.h"
#include "data/dataset.h"
#include "data/npy_file.h"
#include "data/picture_files.h"
#include "io/coded.h"
#include "io/png.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

class Pictures : public testing::Test {
 protected:
  DataConfig config(const std::string& path) const {
    DataConfig made;
    made.paths = {path};
    made.image_size = {4, 4};
    made.cache = scratch / "cache";
    return made;
  }
  Dataset open(const DataConfig& data) {
    notes.clear();
    DatasetOptions options;
    options.noted = [this](const std::string& sentence) { notes.push_back(sentence); };
    return Dataset(data, options);
  }
  std::string refusal(ErrorKind kind, const DataConfig& data) {
    return error_words(kind, [&] { open(data); });
  }
  std::string quoted(const std::string& name) const { return "\"" + (scratch / name) + "\""; }
  static Bytes all(const Dataset& data) {
    Bytes bytes(static_cast<std::size_t>(data.size()));
    data.read(0, bytes);
    return bytes;
  }
  static Bytes flat(int side, std::uint8_t level) {
    return encode_png({side, side, 1, Bytes(static_cast<std::size_t>(side * side), level)});
  }
  // `count` records, the label and then planes of r, g, b.
  void put_cifar(const std::string& name, int count, int first_red) {
    Bytes bytes;
    for (int i = 0; i < count; ++i) {
      bytes.push_back(9);
      for (const int level : {first_red + i, 100, 200})
        bytes.insert(bytes.end(), 1024, static_cast<std::uint8_t>(level));
    }
    put(scratch / name, bytes);
  }

  Scratch scratch;
  std::vector<std::string> notes;
};

TEST_F(Pictures, OfAFolderAreBroughtToOneShapeInOrder) {
  fs::create_directory(scratch / "d");
  put(scratch / "d/a.png", flat(4, 10));
  put(scratch / "d/b.png", encode_png(ramp(9, 5, 3)));
  put(scratch / "d/c.jpg", flat(8, 30));  // what it is, not what it is called, decides
  const Dataset data = open(config(scratch / "d"));
  EXPECT_EQ(data.kind(), "image");
  EXPECT_EQ(data.unit(), 48);
  EXPECT_EQ(data.describe(), "3 pictures of 4 x 4 x 3, 144 bytes");
  Bytes wanted(48, 10);
  const Image second = crop_and_resize(ramp(9, 5, 3), 4, 4);
  wanted.insert(wanted.end(), second.bytes.begin(), second.bytes.end());
  wanted.insert(wanted.end(), 48, 30);
  EXPECT_EQ(all(data), wanted);
}

TEST_F(Pictures, AreDecodedOnceAndAgainWhereAFileChanges) {
  fs::create_directory(scratch / "d");
  put(scratch / "d/a.png", flat(4, 10));
  put(scratch / "d/b.png", flat(4, 20));
  open(config(scratch / "d"));
  EXPECT_EQ(notes.size(), 1u);
  open(config(scratch / "d"));
  EXPECT_TRUE(notes.empty());
  fs::last_write_time(scratch / "d/a.png", fs::file_time_type::clock::now() + std::chrono::hours(1));
  open(config(scratch / "d"));  // another time, the same bytes
  EXPECT_TRUE(notes.empty());
  const fs::file_time_type time = fs::last_write_time(scratch / "d/b.png");
  put(scratch / "d/b.png", flat(4, 21));  // the same size and time, other bytes
  fs::last_write_time(scratch / "d/b.png", time);
  const Dataset changed = open(config(scratch / "d"));
  EXPECT_EQ(all(changed).back(), 21);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("the data changed: decoding 2 files into "), std::string::npos);
  put(scratch / "d/c.png", flat(4, 30));
  EXPECT_EQ(open(config(scratch / "d")).size(), 144);
  DataConfig grey = config(scratch / "d");
  grey.channels = 1;
  EXPECT_EQ(open(grey).size(), 48);
}

TEST_F(Pictures, ADamagedCacheIsMadeAgain) {
  put(scratch / "a.png", flat(4, 10));
  open(config(scratch / "a.png"));
  for (const auto& entry : fs::directory_iterator(scratch / "cache")) {
    fs::resize_file(entry.path(), fs::file_size(entry.path()) / 2);
    EXPECT_EQ(all(open(config(scratch / "a.png"))), Bytes(48, 10));
    EXPECT_EQ(notes.size(), 1u);
  }
}

TEST_F(Pictures, ACacheOfAnotherFormIsMadeAgain) {
  put(scratch / "a.png", flat(4, 10));
  open(config(scratch / "a.png"));
  std::string about;
  for (const std::string& name : scratch.names())
    if (name.ends_with(".json")) about = scratch / name;
  for (const std::string other : {"5", "[]", "[1, 2]", "{}", "null", "[\"1\", 2, 3, 4]", "[1e300, 2, 3, 4]"}) {
    std::string text = get(about);
    const std::size_t begin = text.find("[[") + 1;  // the identity of the first file
    put(about, text.replace(begin, text.find(']', begin) + 1 - begin, other));
    EXPECT_EQ(all(open(config(scratch / "a.png"))), Bytes(48, 10)) << other;
    EXPECT_EQ(notes.size(), 1u) << other;
  }
}

TEST_F(Pictures, ThatAreLeftOutAreAllNamed) {
  fs::create_directory(scratch / "d");
  put(scratch / "d/a.png", flat(4, 10));
  for (int i = 10; i < 18; ++i) put(scratch / fmt::format("d/b{}.png", i), Bytes{});
  DataConfig data = config(scratch / "d");
  data.unreadable = Unreadable::skip;
  open(data);
  ASSERT_EQ(notes.back().find("8 files were left out"), 0u);
  EXPECT_TRUE(notes.back().ends_with(quoted("d/b14.png") + " is empty; likewise " + quoted("d/b15.png") + ", " +
                                     quoted("d/b16.png") + ", " + quoted("d/b17.png")))
      << notes.back();
  for (int i = 100; i < 200; ++i) put(scratch / fmt::format("d/c{}.png", i), Bytes{});
  open(data);
  EXPECT_TRUE(notes.back().ends_with(quoted("d/c191.png") + " and 8 more")) << notes.back();
}

TEST_F(Pictures, ThatCannotBeReadAreAnErrorOrLeftOutWithTheirNames) {
  fs::create_directory(scratch / "d");
  put(scratch / "d/a.png", flat(4, 10));
  const Bytes whole = flat(8, 20);
  put(scratch / "d/b.png", Bytes(whole.begin(), whole.end() - 20));
  put(scratch / "d/c.png", Bytes{});
  put(scratch / "d/d.png", std::string("words"));
  DataConfig data = config(scratch / "d");
  EXPECT_EQ(refusal(ErrorKind::corrupt_data, data), quoted("d/c.png") + " is empty");
  fs::remove(scratch / "d/c.png");
  fs::remove(scratch / "d/d.png");
  EXPECT_EQ(refusal(ErrorKind::corrupt_data, data), quoted("d/b.png") + " is a damaged PNG: the file ends too early");
  EXPECT_FALSE(fs::exists(scratch / "cache"));
  put(scratch / "d/c.png", Bytes{});
  put(scratch / "d/d.png", std::string("words"));
  data.unreadable = Unreadable::skip;
  for (int twice = 0; twice < 2; ++twice) {
    const Dataset some = open(data);
    EXPECT_EQ(all(some), Bytes(48, 10));
    EXPECT_EQ(some.describe(), "1 picture of 4 x 4 x 3, 48 bytes, 3 files left out");
    ASSERT_FALSE(notes.empty());
    EXPECT_EQ(notes.back(), "3 files were left out because they cannot be read: " + quoted("d/c.png") + " is empty; " +
                                quoted("d/d.png") +
                                " is no picture: needs PNG, JPEG, .npy, or a raw array in a .bin; " +
                                quoted("d/b.png") + " is a damaged PNG: the file ends too early");
  }
  fs::remove(scratch / "d/a.png");
  refusal(ErrorKind::corrupt_data, data);
}

TEST_F(Pictures, NeedASizeWhereFilesHaveNone) {
  put(scratch / "a.png", encode_png(ramp(9, 5, 3)));
  DataConfig data = config(scratch / "a.png");
  data.image_size.clear();
  EXPECT_EQ(
      refusal(ErrorKind::invalid_argument, data),
      "data.image_size: folders of pictures need the [height, width] to bring them to; the first, " + quoted("a.png") +
          ", has [5, 9]; a preset names one, such as image-small, which --preset keeps beside options of the model");
  put(scratch / "a.bin", Bytes(50));
  data = config(scratch / "a.bin");
  EXPECT_EQ(refusal(ErrorKind::corrupt_data, data),
            quoted("a.bin") + " is cut: 50 bytes are no whole number of pictures of 4 x 4 x 3 of 48 bytes");
  data.image_size.clear();
  data.kind = "image";
  EXPECT_EQ(refusal(ErrorKind::invalid_argument, data),
            "data.image_size: " + quoted("a.bin") + " is a raw array; needs [height, width] of its pictures");
}

TEST_F(Pictures, OfCifarComeInterleavedWithTheirOwnParts) {
  fs::create_directory(scratch / "c");
  for (int batch = 1; batch <= 5; ++batch) put_cifar(fmt::format("c/data_batch_{}.bin", batch), 10, 10 * batch);
  put_cifar("c/test_batch.bin", 7, 100);
  put(scratch / "c/readme.html", std::string("words"));
  put(scratch / "c/batches.meta.txt", std::string("words"));
  DataConfig data = config(scratch / "c");
  data.image_size.clear();
  const Dataset cifar = open(data);
  EXPECT_EQ(cifar.unit(), 3072);
  EXPECT_EQ(cifar.part(Split::train), (ByteRange{0, 48 * 3072}));
  EXPECT_EQ(cifar.part(Split::valid), (ByteRange{48 * 3072, 50 * 3072}));
  EXPECT_EQ(cifar.part(Split::test), (ByteRange{50 * 3072, 57 * 3072}));
  Bytes pixels(6);
  cifar.read(11 * 3072, pixels);
  EXPECT_EQ(pixels, (Bytes{21, 100, 200, 21, 100, 200}));
  EXPECT_EQ(cifar.config().image_size, (std::vector<std::int64_t>{32, 32}));
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[1].find("10,000 records each: data_batch_1.bin has 10, "), std::string::npos);
  put(scratch / "c/data_batch_3.bin", Bytes(3000));
  EXPECT_EQ(
      refusal(ErrorKind::corrupt_data, data),
      quoted("c/data_batch_3.bin") + " is cut: 3,000 bytes are no whole number of CIFAR-10's records of 3,073 bytes");
  data.paths = {scratch / "c/test_batch.bin"};
  EXPECT_EQ(open(data).part(Split::test), (ByteRange{0, 7 * 3072}));
  data.paths.clear();
  for (const int batch : {1, 2, 4, 5}) data.paths.push_back(scratch / fmt::format("c/data_batch_{}.bin", batch));
  EXPECT_EQ(open(data).part(Split::valid), (ByteRange{38 * 3072, 40 * 3072}));  // 1.6 of 40, to the nearest
}

TEST(Cifar, HasFiveBatchesForTrainingAndOneForTest) {
  for (const char* name : {"data_batch_1.bin", "folder/data_batch_5.bin", "test_batch.bin"})
    EXPECT_TRUE(is_cifar_batch(name)) << name;
  for (const char* name :
       {"data_batch_0.bin", "data_batch_6.bin", "data_batch_11.bin", "data_batch_1", "a_test_batch.bin"})
    EXPECT_FALSE(is_cifar_batch(name)) << name;
}

TEST_F(Pictures, OfRawArraysAreReadWhereTheyLie) {
  Bytes bytes;
  for (int i = 0; i < 10 * 48; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 7));
  put(scratch / "a.bin", bytes);
  const Dataset data = open(config(scratch / "a.bin"));
  EXPECT_EQ(all(data), bytes);
  EXPECT_FALSE(fs::exists(scratch / "cache"));
  EXPECT_EQ(data.part(Split::train), (ByteRange{0, 9 * 48}));
  EXPECT_EQ(data.part(Split::test).size() % 48, 0);
}

const char* kDictionary = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4), }";

TEST_F(Pictures, OfNumpyArraysAreReadWhereTheyLie) {
  const std::string data(32, 'x');
  for (const int version : {1, 2, 3}) {
    put(scratch / "a.npy", npy(version, kDictionary, data));
    DataConfig own = config(scratch / "a.npy");
    own.image_size.clear();
    const Dataset found = open(own);
    EXPECT_EQ(found.describe(), "2 pictures of 4 x 4 x 1, 32 bytes");
    EXPECT_EQ(all(found), Bytes(32, 'x'));
    own.image_size = {2, 2};
    own.channels = 3;
    EXPECT_EQ(all(open(own)), Bytes(24, 'x'));
  }
}

TEST_F(Pictures, OfOtherNumpyArraysAreRefusedWithTheReason) {
  const auto words = [&](const std::string& from, const std::string& to, std::size_t count = 32) {
    std::string dictionary = kDictionary;
    dictionary.replace(dictionary.find(from), from.size(), to);
    put(scratch / "a.npy", npy(1, dictionary, std::string(count, 'x')));
    const std::string sentence = refusal(ErrorKind::corrupt_data, config(scratch / "a.npy"));
    return sentence.substr(quoted("a.npy").size() + 1);
  };
  EXPECT_EQ(words("|u1", "<f4"),
            "holds fractions, type <f4; pictures need uint8: (255 * array).round().astype(numpy.uint8) where they go "
            "from 0 to 1, (127.5 * (array + 1)).round().astype(numpy.uint8) where they go from -1 to 1, or "
            "array.round().astype(numpy.uint8) where they go to 255");
  EXPECT_TRUE(words("|u1", "|b1").ends_with("pictures need uint8: 255 * array.astype(numpy.uint8)"));
  EXPECT_EQ(words("False", "True"), "is in Fortran order; save numpy.ascontiguousarray(array)");
  EXPECT_EQ(words("(2, 4, 4)", "(2, 4, 4, 2)"), "has the shape (2, 4, 4, 2); needs (N, H, W) or (N, H, W, 3)");
  EXPECT_EQ(words("(2, 4, 4)", "(0, 4, 4)"), "has the shape (0, 4, 4); needs at least one pixel");
  const std::string no_header = "is a damaged .npy file: its header names no descr, fortran_order and shape";
  for (const char* shape :
       {"(2, 4, x)", "(2, -4, 4)", "(", "(2, 4, 4", "2", "(2, 4, 99999999999999999990000000000000000004)"})
    EXPECT_EQ(words("(2, 4, 4)", shape), no_header) << shape;
  EXPECT_EQ(words("False", "Perhaps"), no_header);
  EXPECT_EQ(words("'shape':", "'shape'"), no_header);
  EXPECT_EQ(words("|u1", "|u1", 31), "is cut: its shape (2, 4, 4) needs 32 bytes, 31 are there");
  EXPECT_EQ(words("|u1", "|u1", 33), "is damaged: its shape (2, 4, 4) needs 32 bytes, 33 are there");
  EXPECT_TRUE(words("(2, 4, 4)", "(2305843009213693953, 8, 1, 1)").ends_with("more than 2^63 bytes, 32 are there"));
  EXPECT_EQ(words("descr", "desc"), no_header);
  put(scratch / "a.npy", npy(9, kDictionary, ""));
  refusal(ErrorKind::corrupt_data, config(scratch / "a.npy"));
  put(scratch / "a.npy", npy(1, kDictionary, "").substr(0, 40));
  refusal(ErrorKind::corrupt_data, config(scratch / "a.npy"));
}

TEST_F(Pictures, OfANumpyArrayWithALongHeaderAreRefusedAtOnce) {
  const std::string dictionary = "{'descr': '" + std::string(65000, 'a') + "'}";  // once a frame of the stack a letter
  const std::string length = {static_cast<char>(dictionary.size() & 255), static_cast<char>(dictionary.size() >> 8)};
  put(scratch / "a.npy", "\x93NUMPY\x01" + std::string(1, '\0') + length + dictionary);
  EXPECT_EQ(refusal(ErrorKind::corrupt_data, config(scratch / "a.npy")),
            quoted("a.npy") + " is a damaged .npy file: its header names no descr, fortran_order and shape");
}

TEST_F(Pictures, OfANumpyArrayThatIsWiderThanAnyAreRefused) {
  put(scratch / "a.npy", npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3000000000), }", ""));
  fs::resize_file(scratch / "a.npy", fs::file_size(scratch / "a.npy") + 3'000'000'000);  // takes no space
  EXPECT_EQ(refusal(ErrorKind::corrupt_data, config(scratch / "a.npy")),
            quoted("a.npy") + " is a picture of 3000000000 x 1; needs 1 to 100,000,000 pixels");
}

TEST_F(Pictures, MustFitTheModel) {
  put(scratch / "a.png", flat(4, 10));
  ModelConfig model;
  const auto words = [&](std::int64_t context, std::vector<std::int64_t> positions) {
    model.context = context;
    model.positions = std::move(positions);
    return error_words(ErrorKind::invalid_argument, [&] {
      Dataset(config(scratch / "a.png"), {"", &model, nullptr, {}});
    });
  };
  EXPECT_EQ(words(64, {64}),
            "model.context: pictures of 4 x 4 x 3 are 48 bytes, one window each, got 64; --set "
            "model.context=48 --set 'model.positions=[4,4,3]'");
  EXPECT_NE(error_words(ErrorKind::invalid_argument,
                        [&] {
                          check_fit({2, 2, 3}, model, true);
                        })
                .find("got 64; the weights to begin with have learned pictures of their own size: leave "
                      "data.image_size and data.channels out, or train without --init"),
            std::string::npos);
  EXPECT_EQ(words(48, {7, 7}),
            "model.positions: pictures of 4 x 4 x 3 need these extents, got [7, 7]; --set "
            "model.context=48 --set 'model.positions=[4,4,3]'");
  words(48, {8, 6});
  words(48, {4, 4});
  words(48, {4, 4, 3, 2});
  for (const std::vector<std::int64_t>& extents : {std::vector<std::int64_t>{4, 4, 3}, {4, 12}, {16, 3}, {48}}) {
    model.positions = extents;
    EXPECT_EQ(Dataset(config(scratch / "a.png"), {"", &model, nullptr, {}}).size(), 48);
  }
}

TEST_F(Pictures, StoppedWhileTheyAreDecodedLeaveNothing) {
  put(scratch / "a.png", flat(4, 10));
  const std::atomic<bool> stop = true;
  EXPECT_EQ(error_words(ErrorKind::stopped,
                        [&] {
                          Dataset(config(scratch / "a.png"), {"", nullptr, &stop, {}});
                        }),
            "data: stopped before all was decoded");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a.png"});
}

TEST(Resize, IsTheMeanOfEachBox) {
  const Image image{4, 2, 1, {0, 10, 20, 31, 2, 12, 22, 33}};
  EXPECT_EQ(crop_and_resize(image, 1, 2).bytes, (Bytes{6, 27}));  // (0 + 10 + 2 + 12) / 4, 106 / 4 = 26.5
  EXPECT_EQ(crop_and_resize(image, 2, 4).bytes, image.bytes);
  EXPECT_EQ(crop_and_resize(image, 1, 1).bytes, (Bytes{16}));  // the middle: 10, 20, 12, 22
}

TEST(Resize, TakesTheMiddleAndTheNearestPixelWhereItEnlarges) {
  const Image wide{5, 1, 1, {1, 2, 3, 4, 5}};
  EXPECT_EQ(crop_and_resize(wide, 1, 1).bytes, (Bytes{3}));
  EXPECT_EQ(crop_and_resize(wide, 2, 2).bytes, (Bytes{3, 3, 3, 3}));
  const Image tall{1, 4, 1, {1, 2, 3, 4}};
  EXPECT_EQ(crop_and_resize(tall, 4, 2).bytes, (Bytes{2, 2, 2, 2, 3, 3, 3, 3}));
}

TEST(Channels, BecomeGreyByLumaAndColourByRepetition) {
  EXPECT_EQ(with_channels({2, 1, 3, {255, 255, 255, 10, 200, 30}}, 1).bytes, (Bytes{255, 124}));
  EXPECT_EQ(with_channels({2, 1, 1, {7, 8}}, 3).bytes, (Bytes{7, 7, 7, 8, 8, 8}));
}

}  // namespace
}  // namespace longstride
