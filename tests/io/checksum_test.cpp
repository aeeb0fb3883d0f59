// These tests hold checksums against the standards' own examples.
#include <gtest/gtest.h>

#include <string>

#include "io/crc32c.h"
#include "io/sha256.h"
#include "io/system.h"
#include "io/words.h"

namespace longstride {
namespace {

// FIPS 180-4's examples (csrc.nist.gov, SHA256.pdf and SHA2_Additional.pdf).
TEST(Sha256, GivesTheStandardsDigests) {
  EXPECT_EQ(sha256_hex(as_bytes("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(as_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(as_bytes(std::string(1000000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  std::string text;
  for (int i = 0; i < 300; ++i) text.push_back(static_cast<char>(i * 7));
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const std::string part = text.substr(0, size);
    const std::string whole = sha256_hex(as_bytes(part));
    for (const std::size_t step : {1, 3, 63, 64, 65}) {
      Sha256 hash;
      for (std::size_t at = 0; at < size; at += step) {
        hash.update(as_bytes(part.substr(at, step)));
        hash.digest();  // looking changes nothing
      }
      ASSERT_EQ(hash.hex(), whole) << size << " bytes in steps of " << step;
    }
  }
}

// RFC 3720, B.4.
TEST(Crc32c, GivesTheStandardsChecksums) {
  EXPECT_EQ(crc32c(as_bytes("")), 0u);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(as_bytes(std::string(32, '\xff'))), 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<char>(i));
  EXPECT_EQ(crc32c(as_bytes(rising)), 0x46dd794eu);
}

// ((crc >> 15) | (crc << 17)) + 0xa282ead8 of 0xe3069283.
TEST(Crc32c, IsMaskedAsRecordsMaskIt) { EXPECT_EQ(masked_crc32c(as_bytes("123456789")), 0xc78ab0e5u); }

TEST(Words, GroupDigitsByThree) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1000), "1,000");
  EXPECT_EQ(with_commas(4812331), "4,812,331");
  EXPECT_EQ(with_commas(-123456), "-123,456");
}

}  // namespace
}  // namespace longstride
