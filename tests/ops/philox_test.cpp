// Philox4x32-10 against Random123's known answers, and its uniform numbers.
#include "ops/philox.h"

#include <gtest/gtest.h>

namespace longstride {
namespace {

TEST(Philox, GivesTheKnownAnswersOfRandom123) {  // kat_vectors, philox4x32 10
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (PhiloxBlock{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  const std::uint32_t ones = 0xffffffffu;
  EXPECT_EQ(philox({ones, ones, ones, ones}, {ones, ones}),
            (PhiloxBlock{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
            (PhiloxBlock{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(Philox, UniformNumbersStayInTheirRange) {
  EXPECT_EQ(uniform_float(0), 0.0f);
  EXPECT_EQ(uniform_float(0xffffffffu), 1 - 0x1p-24f);
  EXPECT_EQ(uniform_double(0), 0x1p-32);
  EXPECT_EQ(uniform_double(0xffffffffu), 1.0);
}

TEST(Philox, KeysDifferByPurposeAndSeed) {
  EXPECT_NE(philox_key(1, Purpose::dropout), philox_key(1, Purpose::sample));
  EXPECT_NE(philox_key(1, Purpose::dropout), philox_key(std::int64_t{1} << 32 | 1, Purpose::dropout));
}

}  // namespace
}  // namespace longstride
