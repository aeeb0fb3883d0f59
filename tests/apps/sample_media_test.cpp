// sample on tiny runs of pictures and of sound; a test in Python opens what it writes with other programs' readers.
#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "apps/documented.h"
#include "apps/program.h"
#include "io/file.h"
#include "io/picture.h"
#include "io/wav.h"
#include "longstride/checkpoint.h"
#include "longstride/config.h"
#include "longstride/image.h"
#include "longstride/sound.h"

namespace longstride {
namespace {

using nlohmann::json;

constexpr int kHeight = 6, kWidth = 4;

class SampleMedia : public Commands {
 protected:
  static void TearDownTestSuite() { std::filesystem::remove_all(kept_); }

  // The files that `make` leaves in the test's folder: made once for all tests, and copied into each one's.
  void once(const std::string& name, const std::function<void()>& make) const {
    const auto options = std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks |
                         std::filesystem::copy_options::overwrite_existing;
    if (kept_.empty()) {
      kept_ = (std::filesystem::temp_directory_path() / "longstride-media-XXXXXX").string();
      ASSERT_NE(::mkdtemp(kept_.data()), nullptr);
    }
    const std::string kept = kept_ + "/" + name;
    if (!std::filesystem::exists(kept)) {
      make();
      std::filesystem::copy(root_, kept, options);
    } else {
      std::filesystem::copy(kept, root_, options);
    }
  }

  // Trained for two steps, the first sample of training included, as `run`.
  Finished train_on(const std::string& data, const std::vector<std::string>& sets) const {
    std::vector<std::string> arguments = {"train",   "--data", path(data),  "--out", path("run"),
                                          "--steps", "2",      "--threads", "1"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    for (const char* set : {"model.layers=1", "model.width=16", "model.heads=2", "model.feedforward=2",
                            "model.attention=local(9)", "training.precision=float32"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    return run(arguments);
  }

  Image noise(int height, int width, int seed) const {
    Image image{width, height, 3, {}};
    for (int i = 0; i < height * width * 3; ++i) image.bytes.push_back(static_cast<std::uint8_t>((i + seed) * i % 253));
    return image;
  }

  Image picture(const std::string& name) const {
    const std::string bytes = read(name);
    return decode_png({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, name);
  }

  void train_pictures() const {
    once("pictures", [this] { make_pictures(); });
  }
  void make_pictures() const {
    std::filesystem::create_directory(root_ / "pictures");
    for (int i = 0; i < 10; ++i) write_png(noise(9, 7, i), path("pictures/" + std::to_string(i) + ".png"));
    const Finished done =
        train_on("pictures", {"data.image_size=[6,4]", "model.context=72", "model.positions=[6,4,3]"});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_NE(done.err.find("a sample, " + path("run/samples/000000002.png")), std::string::npos) << done.err;
    EXPECT_NE(done.out.find("--count 16 --out pictures.png"), std::string::npos) << done.out;
  }

  // False where this build reads no sound.
  bool train_sound() const {
    once("sound", [this] { make_sound(); });
    return exists("run");
  }
  void make_sound() const {
    Sound sound{8000, {}};
    for (int i = 0; i < 4000; ++i) sound.samples.push_back(static_cast<std::int16_t>(i * i % 20011 - 10000));
    write_file_atomically(path("song.wav"), encode_wav(sound));
    const Finished done = train_on("song.wav", {"data.sample_rate=8000", "model.context=50", "model.positions=[10,5]"});
    EXPECT_TRUE(done.status == 0 || done.err.find("libsndfile") != std::string::npos) << done.err;
  }

  std::string wav_of(const std::vector<std::uint8_t>& tokens) const {
    DataConfig data;
    data.sample_rate = 8000;
    const std::vector<std::uint8_t> bytes = encode_wav(token_sound(data, tokens));
    return {bytes.begin(), bytes.end()};
  }

  static inline std::string kept_;
};

TEST_F(SampleMedia, APictureIsAPngAndSeveralAreAGridAndSingleFiles) {
  train_pictures();
  const Image in_training = picture("run/samples/000000002.png");  // two by two
  EXPECT_EQ(in_training.height, 2 * kHeight + 2);
  const Finished one = run({"sample", path("run"), "--threads", "1", "--out", path("one.png")});
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(one.out, "");
  EXPECT_NE(one.err.find("wrote " + path("one.png") + ": a picture of 6 x 4"), std::string::npos) << one.err;
  const Image first = picture("one.png");
  EXPECT_EQ(first.height, kHeight);
  EXPECT_EQ(first.width, kWidth);
  EXPECT_EQ(first.channels, 3);
  const Finished several =
      run({"sample", path("run"), "--threads", "1", "--count", "5", "--out", path("all.png"), "--json", "--quiet"});
  EXPECT_EQ(several.err, "");
  const json result = several.json();
  expect_documented(result, "sample");
  EXPECT_EQ(result["tokens"], 72);
  EXPECT_EQ(result["grid"], path("all.png"));
  ASSERT_EQ(result["samples"].size(), 5u);
  std::vector<Image> singles;
  for (int i = 1; i <= 5; ++i) {
    const std::string name = "all-00" + std::to_string(i) + ".png";
    singles.push_back(picture(name));
    const json& sample = result["samples"][static_cast<std::size_t>(i - 1)];
    EXPECT_EQ(sample, (json{{"file", path(name)}, {"height", 6}, {"width", 4}, {"channels", 3}}));
  }
  EXPECT_EQ(singles[0].bytes, first.bytes);
  EXPECT_EQ(picture("all.png").bytes, picture_grid(singles, 3).bytes);
  ASSERT_EQ(run({"sample", path("run"), "--threads", "1", "--count", "2", "--out", path("folder/")}).status, 0);
  EXPECT_EQ(picture("folder/002.png").bytes, singles[1].bytes);
  EXPECT_EQ(picture("folder/grid.png").bytes, picture_grid({singles[0], singles[1]}, 2).bytes);
}

TEST_F(SampleMedia, APictureIsEnlargedByWholePixels) {
  train_pictures();
  const std::vector<std::string> options = {"sample", path("run"), "--threads", "1", "--out", path("one.png")};
  ASSERT_EQ(run(options).status, 0);
  const Image small = picture("one.png");
  std::vector<std::string> scaled = options;
  scaled.insert(scaled.end(), {"--scale", "3"});
  ASSERT_EQ(run(scaled).status, 0);
  const Image large = picture("one.png");
  ASSERT_EQ(large.height, 3 * kHeight);
  ASSERT_EQ(large.width, 3 * kWidth);
  for (int row = 0; row < large.height; ++row)
    for (int at = 0; at < large.width * 3; ++at) {
      const int from = (row / 3 * kWidth + at / 3 / 3) * 3 + at % 3;
      ASSERT_EQ(large.bytes[static_cast<std::size_t>(row * large.width * 3 + at)],
                small.bytes[static_cast<std::size_t>(from)])
          << row << ", " << at;
    }
  scaled.back() = "0";
  EXPECT_EQ(refused(scaled), "longstride sample: --scale: needs a whole number in [1, 64], got 0\n");
  scaled = options;
  scaled.push_back("--no-echo");
  EXPECT_EQ(refused(scaled), "longstride sample: --no-echo: is for texts, the model has learned from pictures\n");
}

int count_of(const std::string& word, const std::string& text) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += word.size()) ++count;
  return count;
}

TEST_F(SampleMedia, APageShowsThePixelsOfPicturesWithTheirBits) {
  train_pictures();
  const Finished done =
      run({"evaluate", path("run"), "--data", path("pictures"), "--bytes", "144", "--page", path("page.html")});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::string page = read("page.html");
  EXPECT_EQ(count_of("<figure>", page), 2);
  EXPECT_EQ(count_of("<title>row ", page), 2 * kHeight * kWidth);
  EXPECT_EQ(count_of("fill=\"#", page), 2 * 2 * kHeight * kWidth);  // the pictures, and their bits
  const Image first = read_picture(path("pictures/0.png"), checkpoint_config(path("run"), "latest").data);
  char colour[8];
  std::snprintf(colour, sizeof colour, "#%02x%02x%02x", first.bytes[3], first.bytes[4], first.bytes[5]);
  EXPECT_NE(page.find("<rect x=\"1\" y=\"0\" width=\"1\" height=\"1\" fill=\"" + std::string(colour)),
            std::string::npos);
  EXPECT_NE(page.find("row 0, column 1&#10;red " + std::to_string(first.bytes[3]) + ": "), std::string::npos);
}

TEST_F(SampleMedia, APageShowsTheWaveformOfSoundWithItsBits) {
  if (!train_sound()) GTEST_SKIP() << "this build reads no sound";
  const Finished done =
      run({"evaluate", path("run"), "--data", path("song.wav"), "--bytes", "1200", "--page", path("page.html")});
  ASSERT_EQ(done.status, 0) << done.err;
  const std::string page = read("page.html");
  EXPECT_EQ(count_of("<figure>", page), 2);  // a thousand columns, and two hundred
  EXPECT_EQ(count_of("bits a sample", page), 1200);
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

TEST_F(SampleMedia, ACompletedPictureKeepsItsGivenRowsToTheBit) {
  train_pictures();
  const Image given = noise(kHeight, kWidth, 77);
  write_png(given, path("given.png"));
  const auto rows_kept = [&](const std::vector<std::string>& keep) {
    std::vector<std::string> arguments = {"sample",  path("run"), "--prime", path("given.png"),
                                          "--count", "3",         "--out",   path("done.png")};
    arguments.insert(arguments.end(), keep.begin(), keep.end());
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    std::vector<std::int64_t> rows;
    for (const char* name : {"done-001.png", "done-002.png", "done-003.png"}) {
      const std::vector<std::uint8_t> bytes = picture(name).bytes;
      rows.push_back(std::mismatch(bytes.begin(), bytes.end(), given.bytes.begin()).first - bytes.begin());
    }
    for (std::int64_t& same : rows) same /= kWidth * 3;
    return rows;
  };
  EXPECT_EQ(rows_kept({}), (std::vector<std::int64_t>{3, 3, 3}));
  std::vector<Image> shown = {given, given};
  std::fill(shown[1].bytes.begin() + 3 * kWidth * 3, shown[1].bytes.end(), 0);
  for (const char* name : {"done-001.png", "done-002.png", "done-003.png"}) shown.push_back(picture(name));
  EXPECT_EQ(picture("done.png").bytes, picture_grid(shown, 5).bytes);
  EXPECT_NE(shown[2].bytes, shown[3].bytes);
  EXPECT_EQ(rows_kept({"--keep", "0.9"}), (std::vector<std::int64_t>{5, 5, 5}));
  EXPECT_EQ(rows_kept({"--keep", "0"}), (std::vector<std::int64_t>{0, 0, 0}));
}

TEST_F(SampleMedia, APictureThatIsCutIsBlackBelowAndSaysSo) {
  train_pictures();
  const Finished done = run({"sample", path("run"), "--threads", "1", "--tokens", "30", "--out", path("cut.png")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("30 of the 72 tokens of a picture were asked for: the rest is black"), std::string::npos);
  const std::vector<std::uint8_t> bytes = picture("cut.png").bytes;
  EXPECT_EQ(std::count(bytes.begin() + 30, bytes.end(), 0), 42);
}

TEST_F(SampleMedia, OfAnEnlargedCompletionTheFileAndWhatWasAskedForAreSaid) {
  train_pictures();
  const Finished done = run({"sample", path("run"), "--threads", "1", "--prime", path("pictures/0.png"), "--tokens",
                             "30", "--scale", "3", "--json", "--out", path("large.png")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.err.find("large.png: a picture of 18 x 12 (6 x 4, each pixel 3 x 3)\n"), std::string::npos)
      << done.err;
  EXPECT_NE(
      done.err.find("30 of the 72 tokens of a picture were asked for, after 36 that were given: the rest is black"),
      std::string::npos)
      << done.err;
  expect_documented(done.json(), "sample");
  EXPECT_EQ(done.json()["scale"], 3);
  EXPECT_EQ(done.json()["samples"][0]["height"], kHeight);
  EXPECT_EQ(picture("large.png").height, 3 * kHeight);
}

TEST_F(SampleMedia, PicturesRefuseWhatDoesNotFitInOneSentence) {
  train_pictures();
  const std::string given = path("pictures/0.png");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prime", given, "--tokens", "37"}),
            "longstride sample: --tokens: a picture has 72, of which 36 are given; needs at most 36, got 37\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prompt", "x"}),
            "longstride sample: --prompt: the model has learned from pictures; begin with --prime FILE\n");
  for (const char* keep : {"1", "-0.1", "5s", "half", "nan"}) {
    EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prime", given, std::string("--keep=") + keep}),
              std::string("longstride sample: --keep: needs a share in [0, 1), got \"") + keep + "\"\n");
  }
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--keep", "0.5"}),
            "longstride sample: --keep: says how much of --prime FILE is kept; give that too\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prime", path("text")}),
            "longstride sample: \"/text\" is no picture: needs PNG, JPEG, .npy, or a raw array in a .bin\n");
  EXPECT_EQ(refused({"evaluate", path("run"), "--data", path("text")}),
            "longstride evaluate: \"/text\" is no picture: needs PNG, JPEG, .npy, or a raw array in a .bin\n");
  const Finished scored = run({"evaluate", path("run"), "--data", given, "--threads", "1"});
  EXPECT_NE(scored.err.find(" bits per dim so far"), std::string::npos) << scored.err;
  EXPECT_EQ((scored.err + scored.out).find("per byte"), std::string::npos) << scored.err << scored.out;
  EXPECT_EQ(run({"info", path("run")}).out.find("per byte"), std::string::npos);
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--out", path("a.jpg")}),
            "longstride sample: --out: needs a name that ends in .png, or a folder that is there or ends in /, got "
            "\"/a.jpg\"\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--out", path("none/a.png")}),
            "longstride sample: --out: cannot write \"/none/a.png\": No such file or directory\n");
}

TEST_F(SampleMedia, WithoutANameItTakesOneThatIsFreeAndSaysWhich) {
  train_pictures();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::create_directory(root_ / "here");
  std::filesystem::current_path(root_ / "here");  // the program's working directory is this test's
  write("here/sample.png", "mine");
  const Finished done = run({"sample", path("run"), "--threads", "1"});
  std::filesystem::current_path(before);
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, "");
  EXPECT_NE(done.err.find("wrote sample_2.png"), std::string::npos) << done.err;
  EXPECT_EQ(read("here/sample.png"), "mine");
  EXPECT_EQ(picture("here/sample_2.png").height, kHeight);
}

TEST_F(SampleMedia, SoundIsAWavThatBeginsWithWhatWasGiven) {
  if (!train_sound()) GTEST_SKIP() << "this build reads no sound";
  EXPECT_TRUE(exists("run/samples/000000002.wav"));
  const Finished done = run({"sample", path("run"), "--threads", "1", "--tokens", "300", "--out", path("a.wav")});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(read("a.wav").size(), 44u + 2 * 300);
  EXPECT_NE(done.err.find("wrote " + path("a.wav") + ": 0.04 s at 8,000 Hz"), std::string::npos) << done.err;
  const json result = run({"sample", path("run"), "--threads", "1", "--tokens", "0.05s", "--prime", path("song.wav"),
                           "--keep", "0.1s", "--count", "2", "--out", path("b.wav"), "--json"})
                          .json();
  expect_documented(result, "sample");
  EXPECT_EQ(result["tokens"], 400);
  EXPECT_EQ(result["samples"][1], (json{{"file", path("b-002.wav")}, {"sample_rate", 8000}, {"seconds", 0.15}}));
  DataConfig data;
  data.sample_rate = 8000;
  const std::string given = wav_of(read_sound(path("song.wav"), data, 800)).substr(44);
  for (const char* name : {"b-001.wav", "b-002.wav"}) {
    const std::string bytes = read(name);
    EXPECT_EQ(bytes.size(), 44u + 2 * 1200);
    EXPECT_EQ(bytes.substr(44, 1600), given) << name;
  }
  EXPECT_NE(read("b-001.wav"), read("b-002.wav"));
  ASSERT_EQ(run({"sample", path("run"), "--threads", "1", "--tokens", "0", "--prime", path("song.wav"), "--keep", "0.5",
                 "--out", path("c.wav")})
                .status,
            0);
  EXPECT_EQ(read("c.wav"), wav_of(read_sound(path("song.wav"), data, 2000)));
}

TEST_F(SampleMedia, SoundThatIsInterruptedIsThereAsFarAsItWasMade) {
  if (!train_sound()) GTEST_SKIP() << "this build reads no sound";
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    const std::string name = std::to_string(signal) + ".wav";
    const pid_t process = start({"sample", path("run"), "--threads", "1", "--tokens", "100000s", "--out", path(name)});
    for (int tries = 0; tries < 600 && read(name).size() < 4000; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ::kill(process, signal);
    const Finished done = finish(process);
    EXPECT_EQ(done.status, signal == SIGKILL ? 1000 + SIGKILL : 130) << done.err;
    DataConfig data;
    data.sample_rate = 8000;
    EXPECT_GT(read_sound(path(name), data).size(), 1500u);  // the reader refuses a header that promises more
    const bool said = done.err.find("as far as it was made") != std::string::npos;
    EXPECT_EQ(said, signal != SIGKILL) << done.err;
  }
}

TEST_F(SampleMedia, SoundRefusesWhatDoesNotFitInOneSentence) {
  if (!train_sound()) GTEST_SKIP() << "this build reads no sound";
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prime", path("song.wav"), "--keep", "9s"}),
            "longstride sample: --keep: \"/song.wav\" lasts 0.5 s, got 9s\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prime", path("song.wav"), "--keep", "2"}),
            "longstride sample: --keep: needs a share in [0, 1] or seconds, such as 5s, got \"2\"\n");
  EXPECT_EQ(run({"sample", path("run"), "--threads", "1", "--prime", path("song.wav"), "--keep", "0s", "--tokens", "1",
                 "--out", path("d.wav")})
                .status,
            0);
  EXPECT_EQ(read("d.wav").size(), 44u + 2);
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--tokens", "1e15s"}),
            "longstride sample: --tokens: needs a whole number of at least 0 or seconds, such as 30s, got 1e15s\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--tokens", "1.5"}),
            "longstride sample: --tokens: needs a whole number of at least 0 or seconds, such as 30s, got 1.5\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--out", path("a.mp3")}),
            "longstride sample: --out: needs a name that ends in .wav, or a folder that is there or ends in /, got "
            "\"/a.mp3\"\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--out", "-"}),
            "longstride sample: --out: standard output takes text alone; needs a name that ends in .wav, got \"-\"\n");
  EXPECT_EQ(refused({"sample", path("run"), "--threads", "1", "--prime", path("text")})
                .find("\"/text\" is no WAV or FLAC file"),
            std::string("longstride sample: ").size());
}

TEST_F(SampleMedia, ThePresetIsThatOfTheFilesKind) {
  std::filesystem::create_directory(root_ / "pictures");
  write_png(noise(9, 7, 1), path("pictures/1.png"));
  write("song.wav", wav_of(std::vector<std::uint8_t>(12'000, 7)));
  const auto planned = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"plan"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out.substr(0, done.out.find('\n'));
  };
  EXPECT_EQ(planned({"--data", path("pictures")}), planned({"--preset", "image-small"}));
  EXPECT_EQ(planned({"--data", path("song.wav")}), planned({"--preset", "sound-small"}));
  EXPECT_EQ(planned({"--data", path("text")}), planned({"--preset", "text-small"}));
  EXPECT_EQ(planned({"--data", path("song.wav"), "--set", "data.kind=text", "--context", "20"}),
            planned({"--context", "20"}));
  EXPECT_NE(refused({"plan", "--data", path("pictures"), path("text")}).find("name files of one kind"),
            std::string::npos);
}

}  // namespace
}  // namespace longstride
