// These tests move memory: to a device, on it, and back.
#include "ops/backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "ops/buffer.h"
#include "ops/on_device.h"

namespace longstride::tests {
namespace {

class DeviceMemory : public OnDevice {
 protected:
  std::vector<std::uint8_t> downloaded(const void* memory, std::size_t bytes) {
    std::vector<std::uint8_t> host(bytes, 0x77);
    backend().wait();
    backend().download(host.data(), memory, static_cast<std::int64_t>(bytes));
    return host;
  }
};
LONGSTRIDE_ON_EVERY_DEVICE(DeviceMemory);

std::vector<std::uint8_t> numbered(std::size_t bytes, std::size_t first) {
  std::vector<std::uint8_t> numbers(bytes);
  for (std::size_t i = 0; i < bytes; ++i) numbers[i] = static_cast<std::uint8_t>((first + i) % 251);
  return numbers;
}

TEST_P(DeviceMemory, IsAligned) {
  for (const std::int64_t bytes : {0, 1, 64, 5000, 3 << 20}) {
    void* memory = backend().allocate(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0u) << bytes;
    backend().zero(memory, bytes);
    backend().release(memory);
  }
  backend().release(nullptr);
}

TEST_P(DeviceMemory, HoldsWhatIsUploaded) {
  for (const std::size_t bytes : {1u, 63u, 100000u}) {
    const Buffer buffer(backend(), static_cast<std::int64_t>(bytes));
    const std::vector<std::uint8_t> was = numbered(bytes, 3);
    backend().upload(buffer.data(), was.data(), buffer.bytes());
    EXPECT_EQ(downloaded(buffer.data(), bytes), was) << bytes;
    std::vector<std::byte> staging;
    backend().wait();
    EXPECT_EQ(std::memcmp(backend().readable(buffer.data(), buffer.bytes(), staging), was.data(), bytes), 0) << bytes;
  }
}

TEST_P(DeviceMemory, IsCopiedAndZeroedWhereItIsAskedAndNowhereElse) {
  const Buffer from(backend(), 1000), to(backend(), 1000);
  std::vector<std::uint8_t> want = numbered(1000, 9);
  const std::vector<std::uint8_t> other = numbered(1000, 100);
  backend().upload(to.data(), want.data(), 1000);
  backend().upload(from.data(), other.data(), 1000);
  backend().copy(static_cast<std::byte*>(to.data()) + 100, static_cast<std::byte*>(from.data()) + 7, 300);
  backend().zero(static_cast<std::byte*>(to.data()) + 401, 13);
  backend().copy(to.data(), from.data(), 0);
  backend().zero(to.data(), 0);
  std::copy_n(other.begin() + 7, 300, want.begin() + 100);
  std::fill_n(want.begin() + 401, 13, std::uint8_t{0});
  EXPECT_EQ(downloaded(to.data(), 1000), want);
  EXPECT_EQ(downloaded(from.data(), 1000), other);
}

// y = 0 over `count` floats that last, which is all that the program holds.
Program zeros(std::int64_t count, Array<float>& y) {
  Program program;
  y = program.array<float>("y", Life::lasting, count);
  program.add(Zero{y});
  return program;
}

TEST_P(DeviceMemory, SharedByProgramsGrowsAndWhereItCannotServesThoseThatHadIt) {
  Array<float> small_y, large_y, other_y;
  ProgramArena arena(backend());
  const auto runs = [&](Executable& program, const Array<float>& y) {
    const Array<float> at = program.program().bound(y);
    const std::vector<float> ones(static_cast<std::size_t>(at.count), 1);
    backend().upload(at.data, ones.data(), at.count * 4);
    program.run();
    const std::vector<std::uint8_t> found = downloaded(at.data, ones.size() * 4);
    return std::all_of(found.begin(), found.end(), [](std::uint8_t byte) { return byte == 0; });
  };
  const auto small = arena.add(zeros(5, small_y));
  EXPECT_TRUE(runs(*small, small_y));
  arena.add(zeros(50, other_y));  // and it is gone
  const auto large = arena.add(zeros(5000, large_y));
  EXPECT_TRUE(runs(*small, small_y));
  EXPECT_TRUE(runs(*large, large_y));
  const void* before = large->program().bound(large_y).data;
  EXPECT_THROW(arena.add(zeros(std::int64_t{1} << 58, other_y)), Error);
  EXPECT_EQ(large->program().bound(large_y).data, before);
  EXPECT_EQ(small->program().bound(small_y).data, before);
  EXPECT_TRUE(runs(*small, small_y));
  EXPECT_TRUE(runs(*large, large_y));
}

}  // namespace
}  // namespace longstride::tests
