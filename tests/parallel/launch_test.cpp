// What launchers leave in the environment, and what a process takes from it.
#include "longstride/launch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "longstride/device.h"
#include "longstride/error.h"
#include "parallel/world.h"

namespace longstride {
namespace {

using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [&variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

std::string place_words(const Variables& variables) {
  try {
    const Launch launch = find_launch(environment_of(variables));
    const MeetingPlace& place = launch.place;
    std::string words = std::to_string(place.rank) + " of " + std::to_string(place.size);
    if (place.size > 1 && !launch.by_mpi) words += " at " + place.host + ":" + std::to_string(place.port);
    return words + (launch.by_mpi ? " by MPI" : "");
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Launch, NobodyStartedIsAlone) {
  EXPECT_EQ(place_words({}), "0 of 1");
  EXPECT_EQ(place_words({{"WORLD_SIZE", "1"}}), "0 of 1");
  EXPECT_EQ(place_words({{"WORLD_SIZE", "1"}, {"RANK", "1"}}), "RANK: needs a whole number in [0, 1), got \"1\"");
  EXPECT_EQ(place_words({{"WORLD_SIZE", ""}, {"RANK", ""}}), "0 of 1");
}

TEST(Launch, VariablesByHandSayWhereProcessesMeet) {
  Variables variables = {{"RANK", "1"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "29500"}};
  EXPECT_EQ(place_words(variables), "1 of 4 at a:29500");
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";  // which listens at that port itself
  EXPECT_EQ(place_words(variables), "1 of 4 at a:29501");
  variables.erase("MASTER_ADDR");
  EXPECT_EQ(place_words(variables), "MASTER_ADDR: is missing, and is needed for 4 processes: the host of process 0");
  variables.erase("WORLD_SIZE");
  EXPECT_EQ(place_words(variables), "WORLD_SIZE: is missing, and is needed beside RANK");
  variables["WORLD_SIZE"] = "0x4";
  EXPECT_EQ(place_words(variables), "WORLD_SIZE: needs a whole number in [1, 1048576), got \"0x4\"");
}

TEST(Launch, TasksOfSlurmMeetOnTheFirstNode) {
  const Variables variables = {{"SLURM_PROCID", "2"},
                               {"SLURM_STEP_NUM_TASKS", "3"},
                               {"SLURM_STEP_NODELIST", "rack[1-2]node[03-05,09]-ib,other"},
                               {"MASTER_PORT", "5"}};
  EXPECT_EQ(place_words(variables), "2 of 3 at rack1node03-ib:5");
  EXPECT_EQ(place_words({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "3"}, {"ENVIRONMENT", "BATCH"}}), "0 of 1");
}

TEST(Launch, AnMpiLauncherIsAskedWhereTheBuildHasMpi) {
  Variables variables = {
      {"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "9"}};
  const std::string second = built_with_mpi() ? "1 of 2 by MPI" : "1 of 2 at a:9";
  EXPECT_EQ(place_words(variables), second);
  variables.insert({{"RANK", "0"}, {"WORLD_SIZE", "1"}});  // left over in the shell
  EXPECT_EQ(place_words(variables), second);
  variables["TORCHELASTIC_RUN_ID"] = "x";  // each of the two started one process
  EXPECT_EQ(place_words(variables), "0 of 1");
}

TEST(Launch, PatienceAndSilenceAreSecondsOfTheEnvironment) {
  const Variables variables = {{"RANK", "0"},        {"WORLD_SIZE", "2"},           {"MASTER_ADDR", "a"},
                               {"MASTER_PORT", "9"}, {"LONGSTRIDE_MEETING_S", "7"}, {"LONGSTRIDE_SILENCE_S", "3"}};
  const Launch launch = find_launch(environment_of(variables));
  EXPECT_EQ(launch.patience_s, 7);
  EXPECT_EQ(launch.silence_s, 3);
}

TEST(Launch, ProcessesOfOneMachineShareItsCores) {
  const Variables none, wish = {{"OMP_NUM_THREADS", "1"}},
                        torchrun = {{"OMP_NUM_THREADS", "1"}, {"TORCHELASTIC_RUN_ID", "x"}};
  const int alone = share_of_cores(world_of_one(), environment_of(none));
  EXPECT_GE(alone, 1);
  run_threads(2, [&](World& world) {
    EXPECT_EQ(share_of_cores(world, environment_of(none)), std::max(1, alone / 2));
    EXPECT_EQ(share_of_cores(world, environment_of(wish)), machine_info().threads);
    EXPECT_EQ(share_of_cores(world, environment_of(torchrun)), std::max(1, alone / 2));
  });
}

}  // namespace
}  // namespace longstride
