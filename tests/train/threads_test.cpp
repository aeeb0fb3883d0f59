// These tests hold the process's threads against what training, as a function of the library, leaves of them.
#include <gtest/gtest.h>

#include "longstride/device.h"
#include "train/training.h"

namespace longstride {
namespace {

using ThreadsOfTraining = Training;

TEST_F(ThreadsOfTraining, AreThoseThatTheHostProgramChose) {
  Config one = config(1);
  one.training.threads = 1;
  set_threads(3);
  run(one, "run");
  EXPECT_EQ(machine_info().threads, 3);
  set_threads(0);
}

}  // namespace
}  // namespace longstride
