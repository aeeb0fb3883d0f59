// These tests stop and kill runs of every kind of data, precision and number of threads in between, and go on.
#include "faults/everywhere.h"
#include "io/png.h"
#include "io/wav.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

struct Kind {
  const char* name;
  const char* data;  // below the folder
};

constexpr Kind kKinds[] = {{"text", "text"}, {"image", "pictures"}, {"sound", "sound.wav"}};

class Matrix : public Everywhere {
 protected:
  Matrix() {
    fs::create_directory(data_.path("pictures"));
    Sound sound;
    sound.rate = 12000;
    for (int i = 0; i < 4000; ++i) sound.samples.push_back(static_cast<std::int16_t>(i * i % 30000 - 15000));
    write("sound.wav", encode_wav(sound));
    for (int n = 0; n < 60; ++n) {
      Image picture;
      picture.height = 8;
      picture.width = 5;
      picture.channels = 1;
      for (int i = 0; i < 40; ++i) picture.bytes.push_back(static_cast<std::uint8_t>(n * i * 7));
      write("pictures/" + std::to_string(100 + n) + ".png", encode_png(picture));
    }
  }

  void write(const std::string& name, const std::vector<std::uint8_t>& bytes) const {
    data_.write(name, std::string(bytes.begin(), bytes.end()));
  }

  FaultedRun make(const Kind& kind, const std::string& precision, int threads) const {
    FaultedRun run(data_.path(kind.data));
    run.more_ = {"data.kind=" + std::string(kind.name), "training.precision=" + precision, "model.dropout=0.1"};
    if (std::string(kind.name) == "image")
      run.more_.insert(run.more_.end(), {"data.channels=1", "data.image_size=[8,5]", "model.positions=[8,5,1]"});
    run.threads_ = threads;
    return run;
  }

  Workplace data_;
};

TEST_F(Matrix, OfInterruptionsEndsInTheSameBits) {
  int interruptions = 0;
  const bool all = std::getenv("LONGSTRIDE_FAULTS") != nullptr;
  for (const Kind& kind : kKinds) {
    for (const char* precision : {"float32", "bfloat16"}) {
      FaultedRun whole = make(kind, precision, 1);
      whole.warm_up();
      whole.set_fault("0", "kill");
      Finished done = whole.start_run();
      ASSERT_EQ(done.status, 0) << kind.name << precision << done.err;
      const std::size_t calls = whole.calls().size();
      ASSERT_GT(calls, 100u);
      const auto expect_equal = [&](FaultedRun& run, const std::string& how) {
        run.clear();
        run.stop_at_ = -1;
        done = run.resume_run();
        EXPECT_EQ(done.status, 0) << done.err;
        EXPECT_EQ(differences(whole.contents(), run.contents()), "")
            << kind.name << " " << precision << " on " << run.threads_ << " threads, " << how;
        ++interruptions;
      };
      for (const int threads : {1, 2}) {
        for (const int step : {1, 2, 3}) {
          if (!all && step != 2) continue;
          FaultedRun run = make(kind, precision, threads);
          run.stop_at_ = step;
          EXPECT_EQ(run.start_run().status, 130);
          expect_equal(run, "stopped at step " + std::to_string(step));
        }
        for (const std::size_t quarter : {1, 2, 3}) {
          if (!all && quarter != 2) continue;
          FaultedRun run = make(kind, precision, threads);
          run.set_fault(std::to_string(calls * quarter / 4), "kill");
          EXPECT_EQ(run.start_run().status, 1000 + SIGKILL);
          expect_equal(run, "killed after " + std::to_string(quarter) + " quarters");
        }
      }
    }
  }
  std::cout << interruptions << " interruptions\n";
}

}  // namespace
}  // namespace longstride
