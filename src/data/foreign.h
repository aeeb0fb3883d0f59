// Files that no model learns from as they lie: packed, or sound, pictures and documents in forms that are not read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace longstride {

struct Foreign {
  const char *what, *remedy;
};

// By the end of a name, and by the bytes that a file begins with (kFirstBytes of them, or all there are), which also
// tell what is read under another name (a PNG that is called photo.bin). Null: nothing that is known as foreign.
inline constexpr std::int64_t kFirstBytes = 2048;
const Foreign* foreign_by_name(const std::string& file);
const Foreign* foreign_by_bytes(std::span<const std::uint8_t> begin);

// More control characters than any text has: one byte in 50. UTF-16, which has a byte of 0 a letter, counts too. So
// does what has any of them where more than one byte in 10 belongs to no UTF-8: raw pictures, whose bytes mostly happen
// to be printable. Texts in older codings have no control characters.
bool is_no_text(std::span<const std::uint8_t> bytes);

// Throw where a file is foreign by its name, or by what it begins with. Error invalid_argument, naming the first and
// what helps. Files that cannot be read are left to those who read them.
void refuse_foreign_names(const std::vector<std::string>& files);
void refuse_foreign_bytes(const std::vector<std::string>& files);

// What a file is by its name, or else by its first bytes: "packed", "packed, as its first bytes say"; none where it is
// nothing that is known as foreign.
std::optional<std::string> foreign_words(const std::string& file);

// Says of files that will be learned as text which are none, by what stands in eight places of each; empty where all
// are.
std::string no_text_words(const std::vector<std::string>& files);

}  // namespace longstride
