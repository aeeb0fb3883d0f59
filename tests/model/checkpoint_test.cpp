// These tests save and load models, and refuse files that are damaged or of another configuration.
#include "model/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "io/file.h"
#include "longstride/error.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

Config small_config() {
  Config config;
  config.model.vocabulary = 7;
  config.model.context = 10;
  config.model.layers = 1;
  config.model.width = 8;
  config.model.heads = 2;
  config.model.feedforward = 2;
  config.model.positions = {2, 5};
  config.model.attention = read_attention("local(3)");
  return config;
}

// A folder of the test's own and a model in memory, ready to be written, damaged and read.
class Checkpoint : public testing::Test {
 protected:
  Checkpoint() : config_(read_config({write_config(small_config())}, {"test"}, {})), table_(config_.model) {
    std::string pattern = (fs::temp_directory_path() / "longstride-checkpoint-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    store_.resize(static_cast<std::size_t>(table_.store_elements()));
    initialise(table_, 1, store_.data());
  }
  ~Checkpoint() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }

  // A checkpoint directory RUN/checkpoints/STEP, complete unless said otherwise.
  void save_step(const std::string& run, std::int64_t step, const std::string& suffix = "") {
    const fs::path folder = root_ / run / kCheckpointFolder / (checkpoint_name(step) + suffix);
    fs::create_directories(folder);
    save_model((folder / kModelFile).string(), config_, step, table_, store_.data());
  }

  std::vector<StoredTensor> tensors() const {
    std::vector<StoredTensor> all;
    for (const Parameter& p : table_.entries()) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(store_.data() + p.offset);
      all.push_back({p.name, "F32", p.shape, {bytes, static_cast<std::size_t>(p.count) * 4}});
    }
    return all;
  }
  std::map<std::string, std::string> metadata() const {
    return {{"format", kCheckpointFormat}, {"config", write_config(config_)}, {"step", "3"}};
  }

  // What loading a file of these says.
  std::string loading(const std::map<std::string, std::string>& about, const std::vector<StoredTensor>& all) {
    write_safetensors(path("m.safetensors"), about, all);
    return words(ErrorKind::corrupt_data, [&] { load_model(*backend_, path("m.safetensors"), DType::float32); });
  }

  template <class Action>
  std::string words(ErrorKind kind, const Action& action) const {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      std::string text = error.what();
      for (std::size_t at; (at = text.find(root_.string())) != std::string::npos;)
        text.replace(at, root_.string().size(), "");
      return text;
    }
    return "no error";
  }

  Config config_;
  ParameterTable table_;
  fs::path root_;
  std::vector<float> store_;
  std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

TEST_F(Checkpoint, ComesBackAsItWasSaved) {
  save_model(path("m.safetensors"), config_, 1234, table_, store_.data());
  const LoadedModel loaded = load_model(*backend_, path("m.safetensors"), DType::bfloat16);
  EXPECT_EQ(loaded.step, 1234);
  EXPECT_EQ(loaded.path, path("m.safetensors"));
  EXPECT_EQ(write_config(loaded.config), write_config(config_));
  const Weights weights = loaded.weights();
  EXPECT_EQ(std::memcmp(weights.f32, store_.data(), store_.size() * 4), 0);
  for (std::size_t e = 0; e < store_.size(); ++e) ASSERT_EQ(weights.bf16[e], bfloat16_from_float(store_[e]));
  EXPECT_EQ(load_model(*backend_, path("m.safetensors"), DType::float32).weights().bf16, nullptr);
}

TEST_F(Checkpoint, IsDescribed) {
  save_step("run", 5);
  const std::string found = find_checkpoint(path("run"), "latest");
  const CheckpointInfo info = describe_checkpoint(found);
  EXPECT_EQ(info.path, found);
  EXPECT_EQ(info.step, 5);
  EXPECT_EQ(info.parameters, table_.count());
  EXPECT_EQ(info.valid_bits, -1);
  ASSERT_EQ(info.tensors.size(), table_.entries().size());
  EXPECT_EQ(info.tensors.front().first, "start");
  EXPECT_EQ(info.tensors.front().second, std::vector<std::int64_t>{8});
  write_safetensors(path("run/checkpoints/000000005/state.safetensors"), {{"valid_bits", "2.125"}}, {});
  EXPECT_EQ(describe_checkpoint(found).valid_bits, 2.125);
}

TEST_F(Checkpoint, WithATensorMissingNamesIt) {
  std::vector<StoredTensor> all = tensors();
  all.pop_back();
  EXPECT_EQ(loading(metadata(), all),
            "checkpoint \"/m.safetensors\" has no tensor \"output.weight\", which its configuration "
            "needs with shape [7, 8]");
}

TEST_F(Checkpoint, WithATensorOfAnotherShapeNamesBoth) {
  std::vector<StoredTensor> all = tensors();
  all.back().shape = {8, 7};
  EXPECT_EQ(
      loading(metadata(), all),
      "checkpoint \"/m.safetensors\" has tensor \"output.weight\" of shape [8, 7], its configuration needs [7, 8]");
}

TEST_F(Checkpoint, WithATensorOfAnotherTypeNamesIt) {
  std::vector<StoredTensor> all = tensors();
  all.back().dtype = "I32";
  EXPECT_EQ(loading(metadata(), all),
            "checkpoint \"/m.safetensors\" has tensor \"output.weight\" of dtype I32, which must be F32");
}

TEST_F(Checkpoint, WithATensorTooManyNamesIt) {
  std::vector<StoredTensor> all = tensors();
  all.push_back({"blocks.1.extra", "F32", {8}, all.front().bytes});
  EXPECT_EQ(loading(metadata(), all),
            "checkpoint \"/m.safetensors\" has tensor \"blocks.1.extra\", which its configuration does not know");
}

TEST_F(Checkpoint, WithValuesThatAreNotFiniteNamesTheFirst) {
  const Parameter* output = table_.find("output.weight");
  store_[static_cast<std::size_t>(output->offset + 9)] = std::nanf("");
  EXPECT_EQ(loading(metadata(), tensors()),
            "checkpoint \"/m.safetensors\" has NaN in tensor \"output.weight\" at element 9; a "
            "model's weights must be finite");
  store_[static_cast<std::size_t>(output->offset + 2)] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(loading(metadata(), tensors()),
            "checkpoint \"/m.safetensors\" has infinity in tensor \"output.weight\" at element "
            "2; a model's weights must be finite");
}

TEST_F(Checkpoint, OfAnotherProgramIsRefused) {
  EXPECT_EQ(loading({}, tensors()),
            "checkpoint \"/m.safetensors\" is not a model of longstride: its metadata has no \"format\"");
  auto about = metadata();
  about["format"] = "longstride-9";
  EXPECT_EQ(loading(about, tensors()),
            "checkpoint \"/m.safetensors\" has format \"longstride-9\", this version reads \"longstride-1\"");
  about = metadata();
  about["step"] = "3x";
  EXPECT_EQ(loading(about, tensors()), "checkpoint \"/m.safetensors\" is damaged: its step is \"3x\", no whole number");
  about = metadata();
  about["config"] = "{\"model\": {\"layers\": -1}}";
  EXPECT_NE(loading(about, tensors()).find("has a configuration that this version cannot use: "), std::string::npos);
}

TEST_F(Checkpoint, ThatClaimsFarMoreLayersThanItHasIsRefusedAtOnce) {
  Config config = config_;
  config.model.layers = 4096;
  auto about = metadata();
  about["config"] = write_config(config);
  EXPECT_NE(loading(about, tensors()).find("too few for the"), std::string::npos);
}

TEST_F(Checkpoint, OfPicturesThatItsWindowsDoNotHoldIsRefused) {
  Config config = config_;
  config.data.kind = "image";
  config.data.image_size = {65536, 65536};
  config.data.channels = 3;
  auto about = metadata();
  about["config"] = write_config(config);
  EXPECT_NE(loading(about, tensors())
                .find("data.image_size: pictures of [65536, 65536, 3] are 12,884,901,888 bytes, its windows 10"),
            std::string::npos);
}

TEST_F(Checkpoint, WithOneBitTurnedIsRefused) {
  save_model(path("m.safetensors"), config_, 1, table_, store_.data());
  std::string bytes = read_text(path("m.safetensors"));
  bytes[bytes.size() - 30] = static_cast<char>(bytes[bytes.size() - 30] ^ 1);
  write_file_atomically(path("m.safetensors"), bytes);
  const auto load = [&] { load_model(*backend_, path("m.safetensors"), DType::float32); };
  const auto describe = [&] { describe_checkpoint(path("m.safetensors")); };
  EXPECT_NE(words(ErrorKind::corrupt_data, load).find("is damaged"), std::string::npos);
  EXPECT_NE(words(ErrorKind::corrupt_data, describe).find("is damaged"), std::string::npos);
}

TEST_F(Checkpoint, OfARunIsTheBestOrTheLatestOrTheOneOfAStep) {
  for (const std::int64_t step : {8, 100, 9}) save_step("run", step);
  save_step("run", 500, ".partial");
  fs::create_directories(root_ / "run" / kCheckpointFolder / checkpoint_name(400));  // without a model
  const auto found = [&](const std::string& which) {
    return fs::path(find_checkpoint(path("run"), which)).parent_path().filename().string();
  };
  EXPECT_EQ(found("latest"), "000000100");
  EXPECT_EQ(found("best"), "000000100");  // nothing is marked as the best
  EXPECT_EQ(missing_best(path("run")), std::nullopt);
  EXPECT_EQ(found("9"), "000000009");
  EXPECT_EQ(found("000000008"), "000000008");
  fs::create_directory_symlink("checkpoints/000000009", root_ / "run" / kBestLink);
  EXPECT_EQ(found("best"), "000000009");
  EXPECT_EQ(missing_best(path("run")), std::nullopt);
  fs::remove_all(root_ / "run" / kCheckpointFolder / checkpoint_name(9));
  EXPECT_EQ(found("best"), "000000100");  // the link leads nowhere
  EXPECT_EQ(missing_best(path("run")), 9);
}

TEST_F(Checkpoint, ThatTrainingRemovesBeforeItIsReadGivesWayToTheNext) {
  for (const std::int64_t step : {8, 9}) save_step("run", step);
  std::vector<std::string> tried;
  const auto use = [&](const std::string& found) {
    tried.push_back(fs::path(found).parent_path().filename());
    if (tried.size() == 1) fs::remove_all(fs::path(found).parent_path());
    return describe_checkpoint(found).step;
  };
  EXPECT_EQ(with_checkpoint(path("run"), "latest", use), 8);
  EXPECT_EQ(tried, (std::vector<std::string>{"000000009", "000000008"}));
  const auto refuse = [](const std::string&) { throw_invalid("of something else"); };
  EXPECT_EQ(words(ErrorKind::invalid_argument, [&] { with_checkpoint(path("run"), "latest", refuse); }),
            "of something else");
}

// The state beside the newest model says which is the best; the link may be missing, behind, or a folder in a copy.
TEST_F(Checkpoint, ThatIsTheBestIsKnownToTheNewestState) {
  const auto state = [&](std::int64_t step, const std::string& best) {
    write_safetensors(path("run/checkpoints/" + checkpoint_name(step) + "/state.safetensors"), {{"best_step", best}},
                      {});
  };
  for (const std::int64_t step : {8, 9, 100}) save_step("run", step);
  const auto best = [&] {
    return fs::path(find_checkpoint(path("run"), "best")).lexically_relative(root_ / "run").parent_path().string();
  };
  state(9, "8");
  EXPECT_EQ(best(), "checkpoints/000000008");  // the newest one that knows
  state(100, "9");
  EXPECT_EQ(best(), "checkpoints/000000009");
  fs::create_directory_symlink("checkpoints/000000100", root_ / "run" / kBestLink);
  EXPECT_EQ(best(), "checkpoints/000000009");
  state(100, "50");  // which is not there: what is called the best
  EXPECT_EQ(best(), "checkpoints/000000100");
  fs::remove(root_ / "run" / kBestLink);
  fs::create_directory(root_ / "run" / kBestLink);
  EXPECT_EQ(best(), "checkpoints/000000100");  // the latest
  EXPECT_EQ(missing_best(path("run")), 50);
  save_model(path("run/best/model.safetensors"), config_, 50, table_, store_.data());
  EXPECT_EQ(best(), "best");
  EXPECT_EQ(missing_best(path("run")), std::nullopt);
  state(100, "-1");
  state(9, "-1");
  EXPECT_EQ(best(), "best");
  state(9, "8");
  fs::resize_file(path("run/checkpoints/000000100/state.safetensors"), 5);
  EXPECT_EQ(best(), "checkpoints/000000008");
  fs::remove_all(root_ / "run" / kCheckpointFolder);
  fs::create_directory(root_ / "run" / kCheckpointFolder);
  EXPECT_EQ(best(), "best");
}

TEST_F(Checkpoint, ThatIsDamagedIsAnErrorThatNamesTheOthersOfItsRun) {
  for (const std::int64_t step : {8, 9, 100}) save_step("run", step);
  const std::string damaged = path("run/checkpoints/000000100/model.safetensors");
  std::string bytes = read_text(damaged);
  bytes[bytes.size() - 30] = static_cast<char>(bytes[bytes.size() - 30] ^ 1);
  write_file_atomically(damaged, bytes);
  const std::string way_on = "; --checkpoint takes others of the run: 8, 9";
  EXPECT_TRUE(words(ErrorKind::corrupt_data, [&] { describe_checkpoint(damaged); }).ends_with(way_on));
  EXPECT_TRUE(
      words(ErrorKind::corrupt_data, [&] { load_model(*backend_, damaged, DType::float32); }).ends_with(way_on));
  fs::resize_file(damaged, 20);
  EXPECT_TRUE(words(ErrorKind::corrupt_data, [&] { checkpoint_config(damaged); }).ends_with(way_on));
}

TEST_F(Checkpoint, IsFoundByItsDirectoryAndByItsFile) {
  save_step("run", 8);
  const std::string directory = path("run/checkpoints/000000008");
  EXPECT_EQ(find_checkpoint(directory, "best"), directory + "/model.safetensors");
  EXPECT_EQ(find_checkpoint(directory + "/model.safetensors", "best"), directory + "/model.safetensors");
}

TEST_F(Checkpoint, ThatIsNotThereIsAnErrorThatSaysWhatIs) {
  save_step("run", 8);
  save_step("run", 12);
  fs::create_directories(root_ / "young" / kCheckpointFolder);
  fs::create_directories(root_ / "other");
  const auto say = [&](const std::string& run, const std::string& which) {
    return words(ErrorKind::invalid_argument, [&] { find_checkpoint(path(run), which); });
  };
  EXPECT_EQ(say("run", "9"), "--checkpoint: run \"/run\" has none of step 9; it has 8, 12");
  EXPECT_EQ(say("run", "newest"), "--checkpoint: needs best, latest or a step, got \"newest\"");
  EXPECT_EQ(say("run", "lates"), "--checkpoint: needs best, latest or a step, got \"lates\"; the nearest is latest");
  EXPECT_EQ(say("young", "best"), "run \"/young\" has no complete checkpoint yet");
  EXPECT_EQ(say("none", "best"),
            "\"/none\" does not exist; name a run directory, a checkpoint directory or a .safetensors file");
  EXPECT_EQ(say("other", "best"),
            "\"/other\" is neither a run directory (it has no checkpoints/) nor a checkpoint directory (it "
            "has no model.safetensors)");
  EXPECT_EQ(say("run/checkpoints/000000008", "12"),
            "--checkpoint: chooses within a run directory, and \"/run/checkpoints/000000008\" is none; leave it out");
}

TEST_F(Checkpoint, FillsAStoreFromTensorsUnderAPrefix) {
  std::vector<StoredTensor> all = tensors();
  for (StoredTensor& tensor : all) tensor.name.insert(0, "moment.");
  write_safetensors(path("state.safetensors"), {}, all);
  const SafetensorsFile file(path("state.safetensors"));
  std::vector<float> read(store_.size(), 7.0f);
  load_tensors_into(file, table_, "moment.", read.data());
  EXPECT_EQ(read, store_);
  EXPECT_EQ(
      words(ErrorKind::corrupt_data, [&] { load_tensors_into(file, table_, "other.", read.data()); }),
      "checkpoint \"/state.safetensors\" has no tensor \"other.start\", which its configuration needs with shape [8]");
}

}  // namespace
}  // namespace longstride
