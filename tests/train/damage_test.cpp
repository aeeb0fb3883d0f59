// These tests flip bits of a checkpoint's files, anywhere, and read them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "io/scratch.h"
#include "train/training.h"

namespace longstride {
namespace {

class Damage : public Training {
 protected:
  // Reads the newest checkpoint, one bit of which is flipped, and returns what is said.
  std::string words_of(const std::string& file, const std::string& bytes, std::size_t bit) const {
    std::string other = bytes;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ 1 << bit % 8);
    put(file, other);
    try {
      describe_checkpoint(path("run/checkpoints/000000002/model.safetensors"));
      return "nothing";
    } catch (const Error& error) {
      return error.kind() == ErrorKind::corrupt_data ? error.what() : "another error: " + std::string(error.what());
    }
  }
};

// In lengths, headers and tensors; with LONGSTRIDE_FAULTS=everywhere in each byte of the headers.
TEST_F(Damage, OfAnyBitIsFoundAndAnotherCheckpointOffered) {
  Config c = config(2);
  c.training.checkpoint_minutes = 1e-9;
  run(c, "run");
  const bool all = std::getenv("LONGSTRIDE_FAULTS") != nullptr;
  const std::size_t places = all ? 300 : 30;
  for (const char* name : {"model", "state"}) {
    const std::string file = path("run/checkpoints/000000002/") + name + ".safetensors", bytes = get(file);
    std::size_t header = 8;
    for (int i = 0; i < 3; ++i) header += static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]) << 8 * i;
    ASSERT_LT(header, bytes.size());
    std::vector<std::size_t> bits;
    for (std::size_t at = 0; at < header; at += all ? 1 : 29) bits.push_back(8 * at + at * 5 % 8);
    for (std::size_t i = 0; i < places; ++i)
      bits.push_back(8 * (header + (bytes.size() - header - 1) * i / (places - 1)) + i % 8);
    for (const std::size_t bit : bits) {
      const std::string words = words_of(file, bytes, bit);
      EXPECT_NE(words.find("; --checkpoint takes others of the run: 1"), std::string::npos)
          << name << " " << bit << words;
    }
    put(file, bytes);
  }
  EXPECT_EQ(describe_checkpoint(path("run/checkpoints/000000002/model.safetensors")).step, 2);
}

// Each file is whole, but they are not of one checkpoint: a model or a state of another step or another run, a folder
// with another's name.
TEST_F(Damage, OfFilesThatDoNotBelongTogetherIsFound) {
  Config c = config(3);
  c.training.checkpoint_minutes = 1e-9;
  run(c, "run");
  c.training.seed = 7;
  run(c, "other");
  const auto file = [&](const std::string& run, int step, const std::string& name) {
    return path(run + "/checkpoints/00000000" + std::to_string(step) + "/" + name + ".safetensors");
  };
  c = config(4);
  for (const std::string name : {"model", "state"}) {
    for (const std::string& strange : {file("run", 2, name), file("other", 3, name)}) {
      fs::remove_all(path("mixed"));
      fs::copy(path("run"), path("mixed"), fs::copy_options::recursive);
      const std::string whole = get(file("mixed", 3, name));
      put(file("mixed", 3, name), get(strange));
      const std::string words =
          error_words(ErrorKind::corrupt_data, [&] { describe_checkpoint(file("mixed", 3, "model")); });
      EXPECT_NE(words.find("; --checkpoint takes others of the run: 1, 2"), std::string::npos) << words;
      EXPECT_NE(
          words.find(strange == file("run", 2, "model") ? "is of step 2, its folder says 3" : "was not saved with"),
          std::string::npos)
          << words;
      notes_.clear();
      run({}, "mixed", -1, true);
      EXPECT_NE(notes_.find("it is set aside"), std::string::npos) << notes_;
      EXPECT_EQ(model_bytes("mixed"), model_bytes("run"));
      EXPECT_TRUE(fs::exists(path("mixed/checkpoints/000000003.damaged")));
    }
  }
}

TEST_F(Damage, OfAFolderThatWasRenamedIsFound) {
  Config c = config(3);
  c.training.checkpoint_minutes = 1e-9;
  run(c, "run");
  const std::string bits = model_bytes("run");
  fs::rename(path("run/checkpoints/000000002"), path("run/checkpoints/000000009"));
  const std::string model = path("run/checkpoints/000000009/model.safetensors");
  EXPECT_EQ(
      error_words(ErrorKind::corrupt_data, [&] { describe_checkpoint(model); }),
      "checkpoint \"" + model +
          "\" is of step 2, its folder says 9; give it its name back, 000000002; --checkpoint takes others of the "
          "run: 1, 3");
  run({}, "run", -1, true);
  EXPECT_NE(notes_.find("it is set aside"), std::string::npos) << notes_;
  EXPECT_EQ(model_bytes("run"), bits);
  fs::copy(path("run/checkpoints/000000001"), path("000000005"), fs::copy_options::recursive);  // of no run any more
  EXPECT_EQ(describe_checkpoint(path("000000005/model.safetensors")).step, 1);
}

// What the state says of the best checkpoint is a digit in its header.
TEST_F(Damage, OfTheNewestStateNamesNoOtherCheckpointTheBest) {
  Config c = config(4);
  c.training.checkpoint_minutes = c.training.validate_minutes = 1e-9;
  c.training.keep = 10;
  run(c, "run");
  const std::string right = find_checkpoint(path("run"), "best");
  const std::string file = path("run/checkpoints/000000004/state.safetensors"), bytes = get(file);
  const std::size_t digit = bytes.find("\"best_step\":\"") + 13;
  ASSERT_LT(digit, bytes.size());
  for (const char step : {'1', '2', '3'}) {
    if (step == bytes[digit]) continue;
    std::string other = bytes;
    other[digit] = step;
    put(file, other);
    EXPECT_EQ(find_checkpoint(path("run"), "best"), right) << step;
  }
}

}  // namespace
}  // namespace longstride
