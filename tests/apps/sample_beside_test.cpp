// Samples that are made side by side, each by a process of its own, take names of their own.
#include <filesystem>
#include <set>

#include "apps/program.h"
#include "longstride/image.h"
#include "longstride/sound.h"

namespace longstride {
namespace {

class SamplesBeside : public Commands {
 protected:
  // A tiny run of what `data` is. False where this build does not read it.
  bool train_on(const std::string& data, const std::vector<std::string>& sets) const {
    std::vector<std::string> arguments = {"train",   "--data", path(data),  "--out", path("run"),
                                          "--steps", "1",      "--threads", "1",     "--quiet"};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    for (const char* set : {"model.layers=1", "model.width=16", "model.heads=2", "model.feedforward=2",
                            "model.attention=local(9)", "training.precision=float32"})
      arguments.insert(arguments.end(), {"--set", set});
    const Finished done = run(arguments);
    EXPECT_TRUE(done.status == 0 || done.err.find("libsndfile") != std::string::npos) << done.err;
    return done.status == 0;
  }

  // Names in the folder `here` after as many processes as `counts` has, each making that number of samples there.
  std::set<std::string> made(const std::vector<int>& counts, const std::string& tokens) const {
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::create_directories(root_ / "here");
    std::filesystem::current_path(root_ / "here");  // the program's working directory is this test's
    std::vector<pid_t> processes;
    for (const int count : counts)
      processes.push_back(start({"sample", path("run"), "--threads", "1", "--tokens", tokens, "--quiet", "--count",
                                 std::to_string(count), "--seed", std::to_string(processes.size())}));
    for (const pid_t process : processes) EXPECT_EQ(finish(process).status, 0) << read("err");
    std::filesystem::current_path(before);
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(root_ / "here")) {
      names.insert(entry.path().filename());
      EXPECT_GT(entry.file_size(), 0u) << entry;
    }
    return names;
  }
};

TEST_F(SamplesBeside, OfPicturesReplaceNoneOfOneAnother) {
  std::filesystem::create_directory(root_ / "pictures");
  for (int i = 0; i < 20; ++i) {
    Image image{4, 6, 3, std::vector<std::uint8_t>(72, static_cast<std::uint8_t>(9 * i))};
    write_png(image, path("pictures/" + std::to_string(i) + ".png"));
  }
  ASSERT_TRUE(train_on("pictures", {"data.image_size=[6,4]", "model.context=72", "model.positions=[6,4,3]"}));
  EXPECT_EQ(made({1, 1, 1, 1}, "72"),
            (std::set<std::string>{"sample.png", "sample_2.png", "sample_3.png", "sample_4.png"}));
  std::filesystem::remove_all(root_ / "here");
  EXPECT_EQ(made({2, 2, 1}, "72").size(), 7u);  // two grids, two pictures each, and one alone
  write("here/sample_4-002.png", "mine");
  EXPECT_EQ(made({2}, "72").size(), 11u);
  EXPECT_EQ(read("here/sample_4-002.png"), "mine");
}

TEST_F(SamplesBeside, OfSoundReplaceNoneOfOneAnother) {
  WavWriter wav(path("song.wav"), 8000);
  std::vector<std::int16_t> samples;
  for (int i = 0; i < 4000; ++i) samples.push_back(static_cast<std::int16_t>(i * i % 20011 - 10000));
  wav.append(samples);
  if (!train_on("song.wav", {"data.sample_rate=8000", "model.context=50", "model.positions=[10,5]"}))
    GTEST_SKIP() << "this build reads no sound";
  EXPECT_EQ(made({1, 1, 1}, "300"), (std::set<std::string>{"sample.wav", "sample_2.wav", "sample_3.wav"}));
  std::filesystem::remove_all(root_ / "here");
  EXPECT_EQ(made({2, 2}, "300"),
            (std::set<std::string>{"sample-001.wav", "sample-002.wav", "sample_2-001.wav", "sample_2-002.wav"}));
}

}  // namespace
}  // namespace longstride
