// These tests read back what was written as safetensors, and damage it in every way.
#include "io/safetensors.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <rapidcheck.h>

#include "io/scratch.h"
#include "io/sha256.h"
#include "io/system.h"

namespace longstride {
namespace {

using Metadata = std::map<std::string, std::string>;

// A file as any program may write it: the length, the header, the data.
std::string raw_file(const std::string& header, const std::string& data) {
  std::string text(8, '\0');
  for (int i = 0; i < 8; ++i) text[i] = static_cast<char>(header.size() >> (8 * i));
  return text + header + data;
}

std::string text_of(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

std::string reading(const std::string& path) {
  return error_words(ErrorKind::corrupt_data, [&] { SafetensorsFile file(path); });
}

// What of a file a reader uses.
std::string content(const SafetensorsFile& file) {
  std::string all;
  for (const auto& [key, value] : file.metadata()) {
    if (key != "sha256") all += key + "=" + value + ";";
  }
  for (const TensorEntry& tensor : file.tensors()) {
    all += fmt::format("{} {} {}: ", tensor.name, tensor.dtype, fmt::join(tensor.shape, ","));
    all += text_of(file.read(tensor));
  }
  return all;
}

void write_example(const std::string& path) {
  const std::string data = "0123456789abcdefghijklmnopqrstuv";
  const auto bytes = as_bytes(data);
  write_safetensors(path, {{"format", "longstride-1"}, {"config", "{\"model\": {\"width\": 2}}"}},
                    {{"step", "U64", {}, bytes.first(8)},
                     {"weight", "F32", {2, 2}, bytes.subspan(8, 16)},
                     {"nothing", "F32", {0, 5}, {}},
                     {"bytes", "U8", {3}, bytes.subspan(24, 3)}});
}

TEST(Safetensors, GivesBackWhatWasWritten) {
  const Scratch scratch;
  write_example(scratch / "a");
  const SafetensorsFile file(scratch / "a");
  file.verify();
  EXPECT_EQ(file.metadata().at("format"), "longstride-1");
  EXPECT_EQ(file.metadata().at("config"), "{\"model\": {\"width\": 2}}");
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensor("weight").dtype, "F32");
  EXPECT_EQ(file.tensor("weight").shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(text_of(file.read(file.tensor("weight"))), "89abcdefghijklmn");
  EXPECT_TRUE(file.tensor("step").shape.empty());
  EXPECT_EQ(file.tensor("nothing").bytes, 0);
  EXPECT_EQ(text_of(file.read(file.tensor("bytes"))), "opq");
  EXPECT_EQ(file.find("weights"), nullptr);
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"a"});
}

TEST(Safetensors, AsksForBytesThatComeLateOneTensorAfterAnother) {
  const Scratch scratch;
  const std::vector<std::uint8_t> first(24, 7), second(40, 9);
  std::vector<StoredTensor> tensors = {{"a", "F32", {6}, first}, {"b", "F64", {5}, second}};
  const std::string at_once = write_safetensors(scratch / "at_once", {}, tensors);
  std::string asked;
  for (StoredTensor& tensor : tensors) {
    tensor.late = [&asked, name = tensor.name, bytes = tensor.bytes] {
      asked += name;
      return bytes;
    };
    tensor.bytes = {};
  }
  EXPECT_EQ(write_safetensors(scratch / "late", {}, tensors), at_once);
  EXPECT_EQ(asked, "ab");
  EXPECT_EQ(read_text(scratch / "late"), read_text(scratch / "at_once"));
}

TEST(Safetensors, KeepsTheOrderAndFillsTheHeaderToEightBytes) {
  const Scratch scratch;
  write_example(scratch / "a");
  const std::string text = get(scratch / "a");
  EXPECT_EQ(static_cast<unsigned char>(text[0]) % 8, 0);
  EXPECT_TRUE(text.ends_with("0123456789abcdefghijklmnopq"));
  EXPECT_TRUE(text.substr(8).starts_with("{\"__metadata__\":{\"config\":"));
  EXPECT_NE(text.find("\"weight\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]}"), std::string::npos);
}

TEST(Safetensors, TheChecksumIsOfTheFileWithItsOwnDigitsAsZeros) {
  const Scratch scratch;
  write_example(scratch / "a");
  const std::string digits = SafetensorsFile(scratch / "a").metadata().at("sha256");
  std::string text = get(scratch / "a");
  text.replace(text.find(digits), 64, std::string(64, '0'));
  EXPECT_EQ(sha256_hex(as_bytes(text)), digits);
}

TEST(Safetensors, AMissingTensorIsAnErrorThatNamesIt) {
  const Scratch scratch;
  write_example(scratch / "a");
  const SafetensorsFile file(scratch / "a");
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { file.tensor("bias"); }),
            "checkpoint \"" + (scratch / "a") + "\" has no tensor \"bias\"");
}

TEST(Safetensors, AMissingFileIsTheCallersMistake) {
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [] { SafetensorsFile file("/nowhere/a"); }),
            "cannot open \"/nowhere/a\": No such file or directory");
}

TEST(Safetensors, ForeignFilesAreCalledThat) {
  const Scratch scratch;
  const std::string name = "checkpoint \"" + (scratch / "a") + "\" ";
  const auto expect_foreign = [&] {  // as it is; and where its name says something else it is damaged
    const std::string words = "is not a safetensors file", claiming = scratch / "a.safetensors";
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { SafetensorsFile file(scratch / "a"); }), name + words);
    put(claiming, get(scratch / "a"));
    EXPECT_EQ(reading(claiming), "checkpoint \"" + claiming + "\" " + words);
  };
  put(scratch / "a", "");
  EXPECT_EQ(reading(scratch / "a"), name + "is empty");
  put(scratch / "a", "hello");
  expect_foreign();
  put(scratch / "a", "It was the best of times, it was the worst of times");
  expect_foreign();
  std::string header(8, '\0');
  const std::uint64_t length = 100'000'001;  // one more than the most
  for (int i = 0; i < 8; ++i) header[static_cast<std::size_t>(i)] = static_cast<char>(length >> (8 * i));
  put(scratch / "a", header + "{}");
  expect_foreign();
  put(scratch / "a", raw_file("[1, 2]  ", ""));
  expect_foreign();
  put(scratch / "a", raw_file("{\"a\": }", ""));
  EXPECT_EQ(reading(scratch / "a"), name + "is damaged: its header is not valid JSON");
}

TEST(Safetensors, EachDamageOfTheHeaderHasItsWords) {
  const Scratch scratch;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string("{}\0{}", 5), "is damaged: its header is not valid JSON"},
      {R"({"__metadata__":[]})", "is damaged: its __metadata__ is no object"},
      {R"({"__metadata__":{"step":1}})", "is damaged: its metadata \"step\" is no text"},
      {R"({"a":3})", "is damaged: tensor \"a\" has no description"},
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", "is damaged: tensor \"a\" has no \"dtype\""},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "is damaged: tensor \"a\" has no \"shape\""},
      {R"({"a":{"dtype":"F32","shape":[2]}})", "is damaged: tensor \"a\" has no \"data_offsets\""},
      {R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})",
       "is damaged: tensor \"a\" has dtype \"F31\", which is not known"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})",
       "is damaged: tensor \"a\" has a shape that is no list of whole numbers"},
      {R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})",
       "is damaged: tensor \"a\" has a shape that is no list of whole numbers"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "is damaged: tensor \"a\" has no valid data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
       "is damaged: tensor \"a\" has no valid data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}})",
       "is damaged: tensor \"a\" has no valid data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
       "is damaged: tensor \"a\" has 8 bytes, which its shape and dtype F32 do not fill"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
       "is damaged: tensor \"a\" has 0 bytes, which its shape and dtype F32 do not fill"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "is damaged: tensor \"a\" does not begin where the one before it ends"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "is damaged: tensor \"b\" does not begin where the one before it ends"},
  };
  for (const auto& [header, words] : cases) {
    put(scratch / "a", raw_file(header, "01234567"));
    EXPECT_EQ(reading(scratch / "a"), "checkpoint \"" + (scratch / "a") + "\" " + words) << header;
  }
}

TEST(Safetensors, AFileThatIsTooShortOrTooLongSaysByHowMuch) {
  const Scratch scratch;
  const std::string name = "checkpoint \"" + (scratch / "a") + "\" ";
  std::string header = R"({"a":{"dtype":"U8","shape":[2000],"data_offsets":[0,2000]}})";
  header.resize(64, ' ');
  put(scratch / "a", raw_file(header, std::string(1000, 'x')));
  EXPECT_EQ(reading(scratch / "a"), name + "ends after 1,072 of 2,072 bytes; it was cut short");
  put(scratch / "a", raw_file(header, std::string(2001, 'x')));
  EXPECT_EQ(reading(scratch / "a"), name + "is damaged: it has 2,073 bytes, its header describes 2,072");
  put(scratch / "a", raw_file(header, "").substr(0, 40));
  EXPECT_EQ(reading(scratch / "a"), name + "ends after 40 bytes, within its header of 72; it was cut short");
}

TEST(Safetensors, WithoutAChecksumIsAccepted) {
  const Scratch scratch;
  put(scratch / "a", raw_file(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}  )", "xy"));
  const SafetensorsFile file(scratch / "a");
  file.verify();
  EXPECT_EQ(text_of(file.read(file.tensor("a"))), "xy");
}

TEST(Safetensors, CutAnywhereIsAnError) {
  const Scratch scratch;
  write_example(scratch / "a");
  const std::string whole = get(scratch / "a");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(scratch / "b.safetensors", whole.substr(0, size));
    reading(scratch / "b.safetensors");
  }
}

// The one flip that is not seen is in the key "sha256" itself: then nothing else differs.
TEST(Safetensors, AFlippedBitAnywhereIsAnErrorOrChangesNothing) {
  const Scratch scratch;
  write_example(scratch / "a.safetensors");
  const std::string expected = content(SafetensorsFile(scratch / "a.safetensors"));
  const std::string whole = get(scratch / "a.safetensors");
  int accepted = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      put(scratch / "b.safetensors", damaged);
      try {
        const SafetensorsFile file(scratch / "b.safetensors");
        file.verify();
        ++accepted;
        std::string found = content(file);
        for (const auto& [key, value] : file.metadata()) {  // the checksum under its damaged key
          if (value.size() == 64 && key != "sha256")
            found.replace(found.find(key + "=" + value + ";"), key.size() + 66, "");
        }
        EXPECT_EQ(found, expected) << "bit " << bit << " of byte " << at;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::corrupt_data);
      }
    }
  }
  EXPECT_LE(accepted, 6 * 8);
}

TEST(Safetensors, ADamagedTensorHasItsWords) {
  const Scratch scratch;
  write_example(scratch / "a");
  std::string text = get(scratch / "a");
  text.back() = static_cast<char>(text.back() ^ 1);
  put(scratch / "a", text);
  EXPECT_EQ(error_words(ErrorKind::corrupt_data, [&] { SafetensorsFile(scratch / "a").verify(); }),
            "checkpoint \"" + (scratch / "a") +
                "\" is damaged: its bytes do not give the sha256 in its metadata (a program that rewrites the file "
                "must drop that key)");
}

TEST(Safetensors, RandomFilesGiveBackWhatWasWritten) {
  const Scratch scratch;
  const std::vector<std::string> dtypes = {"F64", "F32", "F16", "BF16", "I64", "I8", "U64", "U8", "BOOL"};
  const bool holds = rc::check([&](const std::map<std::string, std::string>& random, std::vector<std::uint8_t> data) {
    Metadata metadata;  // text must be UTF-8
    for (const auto& [key, value] : random) {
      std::string words[2] = {key, value};
      for (std::string& word : words)
        for (char& c : word) c = static_cast<char>(c & 0x7f);
      if (words[0] != "sha256") metadata[words[0]] = words[1];
    }
    std::vector<StoredTensor> tensors;
    std::span<const std::uint8_t> rest = data;
    for (int count = *rc::gen::inRange(0, 6); count > 0; --count) {
      StoredTensor& tensor = tensors.emplace_back();
      tensor.name = fmt::format("tensor \"{}\"", count);
      tensor.dtype = *rc::gen::elementOf(dtypes);
      const std::int64_t most = static_cast<std::int64_t>(rest.size()) / dtype_bytes(tensor.dtype);
      const std::int64_t rows = *rc::gen::inRange<std::int64_t>(0, most + 1);
      tensor.shape = {1, rows};
      tensor.bytes = rest.first(static_cast<std::size_t>(rows * dtype_bytes(tensor.dtype)));
      rest = rest.subspan(tensor.bytes.size());
    }
    write_safetensors(scratch / "a", metadata, tensors);
    const SafetensorsFile file(scratch / "a");
    file.verify();
    Metadata found = file.metadata();
    found.erase("sha256");
    RC_ASSERT(found == metadata);
    RC_ASSERT(file.tensors().size() == tensors.size());
    for (const StoredTensor& tensor : tensors) {
      const TensorEntry& stored = file.tensor(tensor.name);
      RC_ASSERT(stored.dtype == tensor.dtype);
      RC_ASSERT(stored.shape == tensor.shape);
      RC_ASSERT(std::ranges::equal(file.read(stored), tensor.bytes));
    }
  });
  EXPECT_TRUE(holds);
}

TEST(Safetensors, RandomHeadersNeverCrashTheReader) {
  const Scratch scratch;
  const bool holds = rc::check([&](const std::string& header, const std::string& data) {
    put(scratch / "a.safetensors", raw_file("{" + header, data));
    try {
      SafetensorsFile(scratch / "a.safetensors").verify();
    } catch (const Error& error) {
      RC_ASSERT(error.kind() == ErrorKind::corrupt_data);
    }
  });
  EXPECT_TRUE(holds);
}

TEST(Safetensors, AHeaderOfOtherThingsThanTensorsIsRefusedWhileItIsParsed) {
  const Scratch scratch;
  const std::string words =
      "checkpoint \"" + (scratch / "a") + "\" is damaged: its header is no description of tensors";
  const std::string open(1'000'000, '['), close(1'000'000, ']');
  std::string many = "[0";
  for (int i = 0; i < 64; ++i) many += ",0";
  for (const std::string& value :
       std::vector<std::string>{open + close, open, "{\"shape\":" + open, "{\"dtype\":{\"a\":{\"b\":1}}}",
                                "{\"shape\":" + many + "]}", "{\"shape\":" + many}) {
    put(scratch / "a", raw_file("{\"a\":" + value + "}", ""));
    EXPECT_EQ(reading(scratch / "a"), words);
  }
  put(scratch / "a", raw_file(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                              R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                              ""));
  EXPECT_EQ(reading(scratch / "a"), "checkpoint \"" + (scratch / "a") + "\" is damaged: tensor \"a\" comes twice");
  std::filesystem::remove(scratch / "a");
  std::filesystem::create_directory(scratch / "a");
  EXPECT_EQ(reading(scratch / "a"), "checkpoint \"" + (scratch / "a") + "\" is no file");
  std::filesystem::remove(scratch / "a");
  std::string metadata = "{\"__metadata__\":{\"0\":\"\"";  // of these there may be more
  for (int i = 1; i < 100; ++i) metadata += ",\"" + std::to_string(i) + "\":\"\"";
  put(scratch / "a", raw_file(metadata + "}}", ""));
  EXPECT_EQ(SafetensorsFile(scratch / "a").metadata().size(), 100u);
}

TEST(Safetensors, WhatCannotBeWrittenIsTheCallersMistake) {
  const Scratch scratch;
  put(scratch / "a", "old");
  const std::string data(16, 'x');
  const auto bytes = as_bytes(data);
  const auto words = [&](const Metadata& metadata, const std::vector<StoredTensor>& tensors) {
    return error_words(ErrorKind::invalid_argument, [&] { write_safetensors(scratch / "a", metadata, tensors); });
  };
  const std::string name = "\"" + (scratch / "a") + "\": ";
  EXPECT_EQ(words({}, {{"a", "F32", {2}, bytes}}),
            name + "tensor \"a\" needs 8 bytes for its shape and dtype F32, got 16");
  EXPECT_EQ(words({}, {{"a", "F3", {2}, bytes}}), name + "tensor \"a\" has dtype \"F3\", which is not known");
  EXPECT_EQ(words({}, {{"a", "F32", {-4}, bytes}}), name + "tensor \"a\" has a shape that is out of range");
  EXPECT_EQ(words({}, {{"a", "F32", {4}, bytes}, {"a", "F32", {4}, bytes}}), name + "tensor \"a\" comes twice");
  EXPECT_EQ(words({}, {{"__metadata__", "F32", {4}, bytes}}),
            name + "tensor \"__metadata__\" has a name that the format keeps for itself");
  EXPECT_EQ(words({{"config", "\xff"}}, {}), name + "its metadata and names must be UTF-8");
  EXPECT_EQ(get(scratch / "a"), "old");
}

}  // namespace
}  // namespace longstride
