// These tests set limits of memory, and lay out control groups as kernels and containers show them: of memory, of
// cores.
#include "cpu/memory.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cpu/groups.h"
#include "longstride/device.h"

namespace longstride::tests {

using namespace cpu;
namespace {

namespace fs = std::filesystem;

class Groups : public testing::Test {
 protected:
  Groups() {
    std::string pattern = (fs::temp_directory_path() / "longstride-groups-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~Groups() override { fs::remove_all(root_); }
  void put(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  std::optional<std::int64_t> left(const std::string& groups) const { return left_by_groups(groups, root_.string()); }

  fs::path root_;
};

TEST_F(Groups, LeaveTheLeastThatAnyOfThemDoes) {
  EXPECT_EQ(left("0::/a/b\n"), std::nullopt);
  put("a/b/memory.max", "max\n");
  put("a/b/memory.current", "700\n");
  EXPECT_EQ(left("0::/a/b\n"), std::nullopt);
  put("a/memory.max", "5000\n");
  put("a/memory.current", "3000\n");
  EXPECT_EQ(left("0::/a/b\n"), 2000);
  put("a/memory.stat", "anon 2500\ninactive_file 300\nactive_file 150\ntotal_inactive_file 1000\n");
  EXPECT_EQ(left("0::/a/b\n"), 2450);
  put("a/b/memory.max", "900\n");
  EXPECT_EQ(left("0::/a/b\n"), 200);
  put("a/b/memory.max", "600\n");
  EXPECT_EQ(left("0::/a/b\n"), 0);
  EXPECT_EQ(left("0::/elsewhere\n"), std::nullopt);
}

TEST_F(Groups, OfVersion1AreThoseOfMemory) {
  put("memory/x/memory.limit_in_bytes", "4000\n");
  put("memory/x/memory.usage_in_bytes", "1000\n");
  put("memory/x/memory.stat", "inactive_file 100\ntotal_inactive_file 250\ntotal_active_file 50\n");
  EXPECT_EQ(left("9:cpu:/x\n4:memory:/x\n0::/\n"), 3300);
  EXPECT_EQ(left("4:hugetlb,memory:/x\n"), 3300);
  EXPECT_EQ(left("4:cpu:/x\n"), std::nullopt);
  put("memory/memory.limit_in_bytes", "9223372036854771712\n");  // no limit
  put("memory/memory.usage_in_bytes", "5000\n");
  EXPECT_EQ(left("4:memory:/x\n"), 3300);
  EXPECT_GT(left("4:memory:/of/the/host\n"), 1LL << 62);
  EXPECT_EQ(left("nonsense\n::\n4:memory:\n"), left("4:memory:/\n"));
}

TEST_F(Groups, AllowSoManyCores) {
  const auto cores = [&](const std::string& groups) { return cores_by_groups(groups, root_.string()); };
  put("a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cores("0::/a/b\n"), std::nullopt);
  put("a/cpu.max", "150000 100000\n");
  EXPECT_EQ(cores("0::/a/b\n"), 1.5);
  put("a/b/cpu.max", "200000 50000\n");
  EXPECT_EQ(cores("0::/a/b\n"), 1.5);
  put("cpu/x/cpu.cfs_quota_us", "-1\n");
  put("cpu/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cores("4:cpu,cpuacct:/x\n0::/\n"), std::nullopt);
  put("cpu/x/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(cores("4:cpu,cpuacct:/x\n0::/\n"), 3);
  EXPECT_EQ(cores("4:cpuset:/x\n"), std::nullopt);
}

TEST(Cores, AreAskedForNoLessThanOneCore) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), omp_get_num_procs());
}

TEST(Memory, IsNoMoreThanTheProcessMayTake) {
  rlimit before = {};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  constexpr std::int64_t kMore = std::int64_t{200} << 20;
  rlimit limit = before;
  limit.rlim_cur = static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE) + kMore);
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  const std::int64_t available = machine_info().memory_available_bytes;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_LE(available, kMore + (1 << 20));  // what was read of the file is given back
  EXPECT_GT(available, kMore / 2);
}

}  // namespace
}  // namespace longstride::tests
