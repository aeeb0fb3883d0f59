// What fuzz targets share. A target gives bytes to one reader of the outside, as the program does. The reader may take
// them, or refuse them by an Error; anything else (a crash, another exception, a sanitizer's word, too much memory or
// time) is a finding. Found inputs stay in tests/fuzz/kept/TARGET and are read by every build (kept_test.cpp).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longstride::fuzz {

using Input = std::span<const std::uint8_t>;

struct Target {
  std::string name;  // of its file, and of the folders of its inputs
  void (*read)(Input bytes);
};

// Those that are linked: one in a program of libFuzzer, all in the test of kept inputs.
std::vector<Target>& targets();

// A static of each target's file.
struct Registered {
  Registered(const char* name, void (*read)(Input bytes)) { targets().push_back({name, read}); }
};

// Lets the target read; swallows the Error of a reader that refuses.
void run(const Target& target, Input bytes);

// Ends the process where what a reader made of its input cannot be right.
void require(bool holds, const char* what);

// A folder that is this process's own and goes with it.
const std::string& folder();

// The path of a file in that folder with these bytes; `name` may hold folders. What was there before is replaced.
std::string as_file(Input bytes, const std::string& name);

inline std::string_view as_text(Input bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace longstride::fuzz
