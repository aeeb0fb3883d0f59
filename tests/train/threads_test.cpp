// These tests hold the process's threads against what training, as a function of the library, leaves of them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "io/file.h"
#include "longstride/device.h"
#include "longstride/train.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

TEST(ThreadsOfTraining, AreThoseThatTheHostProgramChose) {
  std::string pattern = (fs::temp_directory_path() / "longstride-threads-XXXXXX").string();
  const fs::path root = ::mkdtemp(pattern.data());
  write_file_atomically((root / "text").string(), std::string(400, 'a'));
  Config config;
  config.model.context = 16;
  config.model.layers = 1;
  config.model.width = 16;
  config.model.heads = 2;
  config.model.positions = {4, 4};
  config.model.attention = read_attention("fixed(4,1)");
  config.data.paths = {(root / "text").string()};
  config.training.steps = 1;
  config.training.threads = 1;
  set_threads(3);
  train(config, {.out = (root / "run").string()}, {});
  EXPECT_EQ(machine_info().threads, 3);
  set_threads(0);
  fs::remove_all(root);
}

}  // namespace
}  // namespace longstride
