// These tests hold against definitions what is computed element by element, and sums over all elements: Sum, SquareSums,
// GradientNorm, SumBits, Round, Exchange and Zero.
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <numbers>

#include "ops/on_device.h"

namespace longstride::tests {
namespace {

LONGSTRIDE_DEVICE_TESTS(ElementOperations);

constexpr std::int64_t kCounts[] = {1, 7, 16, 33, 4095, 4096, 4097, 10000};  // around vectors and chunks

struct NormCase {
  std::vector<float> x, scale = {-1};
  std::vector<double> bits = {3}, norm = {-1}, squares = std::vector<double>(static_cast<std::size_t>(chunks()), -1);
  std::int64_t chunks() const { return square_sums_of(static_cast<std::int64_t>(x.size())); }
  SquareSums sums() { return {array_of(x), array_of(squares)}; }
  GradientNorm op(double clip = 0) {
    return {array_of(squares), array_of(bits), clip, array_of(norm), array_of(scale)};
  }
  definitions::GradientNormValues definition(double clip = 0) {
    squares = definitions::square_sums(sums());
    return definitions::gradient_norm(op(clip));
  }
};

TEST_P(ElementOperations, GradientNormIsTheSameForAnyThreadsAndInstructionSet) {
  for (const std::int64_t count : kCounts) {
    NormCase t{random_floats(count, 9)};
    const definitions::GradientNormValues want = t.definition();
    definitions::Values all;
    every_way([&](const std::string& way) {
      append(all, same_for_any_threads(way, [&] {
               run({t.sums(), t.op()});
               return definitions::Values{t.norm[0]};
             }));
      EXPECT_EQ(t.scale[0], 1) << way;
    });
    for (const double got : all) {
      EXPECT_EQ(got, all[0]);
      EXPECT_NEAR(got, want.norm, want.norm * 1e-13);  // count * 2^-53, relative: the terms are exact, not negative
    }
  }
}

TEST_P(ElementOperations, GradientNormClipsWhereTheNormIsAboveTheClip) {
  every_way([&](const std::string& way) {
    for (const double clip : {0.0, 0.25, 1e30}) {
      NormCase t{random_floats(5000, 9)};
      const definitions::GradientNormValues want = t.definition(clip);
      run({t.sums(), t.op(clip)});
      EXPECT_NEAR(t.norm[0], want.norm, want.norm * 1e-13) << way;
      EXPECT_NEAR(t.scale[0], want.scale, want.scale * 0x1p-23) << way;
      EXPECT_EQ(t.scale[0] == 1, clip != 0.25) << way;
    }
    NormCase t{{3, 4}};
    for (const auto& [clip, scale] : {std::pair(2.0, 0.4f), std::pair(5.0, 1.0f), std::pair(9.0, 1.0f)}) {
      run({t.sums(), t.op(clip)});
      EXPECT_EQ(t.norm[0], 5) << way << " clip " << clip;
      EXPECT_EQ(t.scale[0], scale) << way << " clip " << clip;
    }
    t.bits = {NAN};
    GradientNorm op = t.op(5);
    op.bits = {};
    run({t.sums(), op});
    EXPECT_EQ(t.scale[0], 1) << way << ": bits are optional";
  });
}

TEST_P(ElementOperations, GradientNormHasNoScaleWhereAnElementIsNotFinite) {
  every_way([&](const std::string& way) {
    for (const std::size_t at : {0, 4095, 4096, 4999}) {
      for (const double clip : {0.0, 1.0}) {
        NormCase t{std::vector<float>(5000, 1.0f)};
        run({t.sums(), t.op(clip)});
        EXPECT_NEAR(t.norm[0], std::sqrt(5000.0), 1e-12) << way;
        EXPECT_FALSE(std::isnan(t.scale[0])) << way;
        t.x[at] = NAN;
        run({t.sums(), t.op(clip)});
        EXPECT_TRUE(std::isnan(t.norm[0])) << way << " at " << at;
        EXPECT_TRUE(std::isnan(t.scale[0])) << way << " at " << at;
        t.x[at] = -INFINITY;
        run({t.sums(), t.op(clip)});
        EXPECT_TRUE(std::isinf(t.norm[0])) << way << " at " << at;
        EXPECT_TRUE(std::isnan(t.scale[0])) << way << " at " << at;
        t.x[at] = 3e38f;  // its square is beyond float32
        run({t.sums(), t.op(clip)});
        EXPECT_NEAR(t.norm[0], 3e38f, 3e38 * 1e-12) << way << " at " << at;
        EXPECT_FALSE(std::isnan(t.scale[0])) << way << " at " << at;
      }
    }
  });
}

TEST_P(ElementOperations, GradientNormHasNoScaleWhereTheBitsAreNotFinite) {
  every_way([&](const std::string& way) {
    for (const double bits :
         {static_cast<double>(NAN), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)}) {
      for (const double clip : {0.0, 1.0}) {
        NormCase t{{3, 4}};
        t.bits = {bits};
        run({t.sums(), t.op(clip)});
        EXPECT_EQ(t.norm[0], 5) << way;
        EXPECT_TRUE(std::isnan(t.scale[0])) << way << " bits " << bits;
        EXPECT_TRUE(std::isnan(t.definition(clip).scale));
      }
    }
  });
}

TEST_P(ElementOperations, SquareSumsAreThoseOfChunksWhereverTheyAreAdded) {
  every_way([&](const std::string& way) {
    for (const std::int64_t count : kCounts) {
      NormCase t{random_floats(count, 11)};
      const definitions::Values want = definitions::square_sums(t.sums());
      run(t.sums());
      for (std::size_t c = 0; c < want.size(); ++c)
        EXPECT_NEAR(t.squares[c], want[c], want[c] * 1e-13) << way << " chunk " << c << " of " << count;
      if (count <= kSquareSumsChunk) continue;
      NormCase rest{{t.x.begin() + kSquareSumsChunk, t.x.end()}};  // by itself, as another process may hold it
      run(rest.sums());
      EXPECT_EQ(rest.squares, std::vector<double>(t.squares.begin() + 1, t.squares.end())) << way;
    }
  });
}

TEST_P(ElementOperations, SumRoundsOnceAndMayTakeThePlaceOfATerm) {
  every_way([&](const std::string& way) {
    for (const std::int64_t count : kCounts) {
      const std::vector<float> a = random_floats(count, 12), b = random_floats(count, 13);
      std::vector<float> x = a, y = b, out(a.size(), -1), other = out;
      const definitions::Values want = definitions::sum({array_of(x), array_of(y), array_of(out)});
      run({Sum{array_of(x), array_of(y), array_of(out)}, Sum{array_of(y), array_of(x), array_of(other)}});
      for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], static_cast<float>(want[i])) << way << " at " << i;
      EXPECT_EQ(out, other) << way;
      run(Sum{array_of(x), array_of(y), array_of(x)});
      EXPECT_EQ(out, x) << way;
      x = a;
      run(Sum{array_of(x), array_of(y), array_of(y)});
      EXPECT_EQ(out, y) << way;
    }
  });
}

TEST_P(ElementOperations, SumBitsAddsLossesInTheOrderOfRows) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    for (const std::int64_t count : kCounts) {
      std::vector<float> losses = random_floats(count, 1);
      for (float& x : losses) x = std::exp2(30 * x);  // of any size: in another order the sum has other bits
      std::vector<double> sum = {0};
      const SumBits op{array_of(losses), array_of(sum)};
      const double want = definitions::sum_bits(op);
      double in_order = 2.5;
      for (const float loss : losses) in_order += static_cast<float>(loss / std::numbers::ln2);
      same_for_any_threads("sum_bits", [&] {
        sum = {2.5};
        run(op);
        return definitions::Values{sum[0]};
      });
      EXPECT_EQ(sum[0], in_order);
      EXPECT_NEAR(sum[0], 2.5 + want, want * 0x1p-23);
    }
  });
}

TEST_P(ElementOperations, SumBitsOfALossThatIsNoNumberIsNone) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    for (const float bad : {NAN, INFINITY}) {
      std::vector<float> losses(100, 1.0f);
      losses[63] = bad;
      std::vector<double> sum = {0};
      run(SumBits{array_of(losses), array_of(sum)});
      EXPECT_FALSE(std::isfinite(sum[0])) << bad;
    }
  });
}

TEST_P(ElementOperations, RoundGoesToNearestEvenAndKeepsNotANumber) {
  std::vector<float> x = random_floats(5000, 1);
  const std::uint32_t odd[] = {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x3f807fffu, 0x7f7fffffu, 0x7f800000u,
                               0xff800000u, 0x7f800001u, 0xffffffffu, 0x00000001u, 0x80000000u, 0x0000ffffu};
  for (std::size_t i = 0; i < std::size(odd); ++i) x[i * 7] = std::bit_cast<float>(odd[i]);
  every_way([&](const std::string& way) {
    for (const std::int64_t count : {1, 15, 17, 5000}) {
      std::vector<std::uint16_t> y(5000, 0x1234);
      run(Round{array_of(x).from(0, count), array_of(y).from(0, count)});
      for (std::int64_t i = 0; i < 5000; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(y[at], i < count ? bfloat16_from_float(x[at]) : 0x1234) << way << " element " << i;
      }
    }
  });
}

TEST_P(ElementOperations, ExchangeTradesBitForBit) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    for (const std::int64_t count : kCounts) {
      std::vector<float> a = random_floats(count, 1), b = random_floats(count, 2);
      a[0] = std::bit_cast<float>(0x7fc12345u);  // a NaN keeps its payload
      b.back() = -0.0f;
      const std::vector<std::uint32_t> was_a = bits_of(a), was_b = bits_of(b);
      run(Exchange{array_of(a), array_of(b)});
      EXPECT_EQ(bits_of(a), was_b) << count;
      EXPECT_EQ(bits_of(b), was_a) << count;
      run({Exchange{array_of(a), array_of(b)}, Exchange{array_of(b), array_of(a)}});
      EXPECT_EQ(bits_of(a), was_b) << count << ": twice is not at all";
    }
  });
}

TEST_P(ElementOperations, ZeroLeavesNothingOfWhatWasThere) {
  every_way([&](const std::string& way) {
    SCOPED_TRACE(way);
    for (const std::int64_t count : kCounts) {
      std::vector<float> x(static_cast<std::size_t>(count + 1), NAN);
      run(Zero{array_of(x).from(0, count)});
      std::vector<std::uint32_t> want(static_cast<std::size_t>(count + 1), 0u);
      want.back() = std::bit_cast<std::uint32_t>(x.back());
      EXPECT_EQ(bits_of(x), want) << count;
      EXPECT_TRUE(std::isnan(x.back())) << count;
    }
  });
}

}  // namespace
}  // namespace longstride::tests
