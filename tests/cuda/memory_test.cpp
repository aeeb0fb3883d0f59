// These tests follow pointers of a card's twin from the host, which must not come far.
#include <gtest/gtest.h>

#include <cmath>

#include "cuda/host/memory.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace longstride {
namespace {

TEST(MemoryOfACard, IsOutOfTheHostsReach) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto backend = make_backend(Device::cuda);
  const Buffer buffer(*backend, 4096);
  EXPECT_DEATH(*static_cast<volatile float*>(buffer.data()) = 1, "");
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile float*>(buffer.data())), "");
}

TEST(MemoryOfACard, BeginsAsNaNAndIsReachedWhileTheCardWorks) {
  const auto backend = make_backend(Device::cuda);
  const Buffer first(*backend, 4096);
  const cuda::host::AtWork at_work;
  const Buffer second(*backend, 12);
  {
    const cuda::host::AtWork within;
    EXPECT_TRUE(std::isnan(first.f32()[1023]));
  }
  EXPECT_TRUE(std::isnan(second.f32()[2]));
  second.f32()[2] = 3;
  float read = 0;
  backend->download(&read, second.f32() + 2, 4);
  EXPECT_EQ(read, 3);
}

}  // namespace
}  // namespace longstride
