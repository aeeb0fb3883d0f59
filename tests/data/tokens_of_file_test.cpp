// These tests hold the tokens of one file against those that training makes of it.
#include "data/tokens_of_file.h"

#include <cmath>

#include "data/dataset.h"
#include "io/coded.h"
#include "io/png.h"

namespace longstride {
namespace {

class TokensOfFile : public testing::Test {
 protected:
  // What training reads of the file, and the tokens: they must be the same.
  void expect_as_trained(const std::string& name, DataConfig config) {
    config.paths = {scratch / name};
    config.cache = scratch / "cache";
    const Dataset data(config);
    Bytes wanted(static_cast<std::size_t>(data.size()));
    data.read(0, wanted);
    EXPECT_EQ(tokens_of_file(scratch / name, data.config()), wanted);
    if (data.kind() == "image") return;
    wanted.resize(7);
    EXPECT_EQ(tokens_of_file(scratch / name, data.config(), 7), wanted);
  }
  Scratch scratch;
};

TEST_F(TokensOfFile, AreTheBytesOfText) {
  put(scratch / "a.txt", std::string("some text\0with a zero", 21));
  expect_as_trained("a.txt", {});
}

TEST_F(TokensOfFile, AreThePictureCroppedAndResized) {
  put(scratch / "a.png", encode_png(ramp(31, 20, 3)));
  DataConfig config;
  config.image_size = {6, 5};
  expect_as_trained("a.png", config);
  config.channels = 1;
  expect_as_trained("a.png", config);
}

#ifdef LONGSTRIDE_HAS_SNDFILE
TEST_F(TokensOfFile, AreTheCodesOfSound) {
  std::vector<double> samples;
  for (int i = 0; i < 90'000; ++i) samples.push_back(0.5 * std::sin(0.01 * i));
  put_sound(scratch / "a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 12000, 1, samples);
  DataConfig config;
  config.gain = 3;
  expect_as_trained("a.wav", config);
}
#endif

TEST_F(TokensOfFile, OfWhatCannotBeReadIsAnErrorThatNamesIt) {
  DataConfig config;
  config.kind = "text";
  put(scratch / "empty", std::string());
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { tokens_of_file(scratch / "empty", config); }),
            "\"" + (scratch / "empty") + "\" is empty");
  config.kind = "image";
  put(scratch / "text", "no picture");
  EXPECT_NE(error_words(ErrorKind::invalid_argument, [&] { tokens_of_file(scratch / "text", config); }).find("size"),
            std::string::npos);
  config.image_size = {2, 2};
  config.channels = 3;
  config.unreadable = Unreadable::skip;
  for (const char* name : {"empty", "empty.png"}) {  // whoever names it can see that it is
    put(scratch / name, std::string());
    EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { tokens_of_file(scratch / name, config); }),
              "\"" + (scratch / name) + "\" is empty");
  }
  error_words(ErrorKind::invalid_argument, [&] { tokens_of_file(scratch / "missing", config); });
  put(scratch / "torn.png", "no picture");  // passes itself off as one
  error_words(ErrorKind::corrupt_data, [&] { tokens_of_file(scratch / "torn.png", config); });
  error_words(ErrorKind::invalid_argument, [&] { tokens_of_file(scratch / "text", config); });
  put(scratch / "picture", encode_png(ramp(3, 2, 3)));
  config.kind = "text";
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { tokens_of_file(scratch / "picture", config); }),
            "\"" + (scratch / "picture") + "\" is a picture, and the model has learned from text");
}

}  // namespace
}  // namespace longstride
