// Attention patterns: which query reads which key. A pattern is a value and `attends` is its definition; everything
// else here is derived from closed forms and costs no memory that grows with the sequence, unless said otherwise.
// Source: Child et al. 2019 (arXiv 1904.10509), section 4; previous_row: Jukebox; digits: the paper's A(m), 4.3.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longstride/image.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

// The key sets S_i of a query i (0-based; always within 0 <= j <= i).
enum class Primitive : std::uint8_t {
  dense,         // {0..i}
  window,        // window(w): the last w keys, i included; local(l) is window(l + 1)
  column,        // column(l): (i - j) mod l = 0
  row,           // row(l): floor(j / l) = floor(i / l)
  summary,       // summary(l,c,o): j mod l in l-(o+1)c .. l-oc-1
  previous_row,  // previous_row(l): floor(j / l) = floor(i / l) - 1
  prefix,        // prefix(p): j < p
  digits,        // digits(l,m): (i - j) mod l^(m-1) = 0 and i - j < l^m
};

struct Part {
  Primitive primitive = Primitive::dense;
  std::int64_t length = 0;  // w, l or p above; 0 for dense
  std::int64_t cells = 0;   // summary: c; digits: m
  std::int64_t block = 0;   // summary: o
  bool spread = false;      // summary inside fixed(l,c): head h owns sub-block o = h mod floor(l / c) (see for_head)
  bool operator==(const Part&) const = default;
};

// The set union of its parts: one softmax over the union, a key in several parts once.
struct Pattern {
  std::vector<Part> parts;
  bool operator==(const Pattern&) const = default;
};

// Reads "fixed(128,32)", "local(7) | column(8)", ... Error invalid_argument points at the offending character.
Pattern parse_pattern(std::string_view text);

// A short text that parse_pattern reads as the same pattern: strided and fixed where they are, local(w - 1) or
// window(w) by which number is even.
std::string to_string(const Pattern& pattern);

// The pattern as head h of a layer uses it: spread summaries get their sub-block.
Pattern for_head(const Pattern& pattern, std::int64_t head);

// True if query i reads key j. Causal: false for every j > i. i, j >= 0. A spread summary counts as head 0's.
bool attends(const Pattern& pattern, std::int64_t i, std::int64_t j);

// |S_i|.
std::int64_t count_keys(const Pattern& pattern, std::int64_t i);

// Sum of |S_i| over i in [0, n): exact. n <= 2^31.
std::int64_t count_pairs(const Pattern& pattern, std::int64_t n);

// max |S_i| over i in [0, n).
std::int64_t max_keys(const Pattern& pattern, std::int64_t n);

// S_i in ascending order, appended to `keys`. Work O(|S_i|) times a small factor.
void list_keys(const Pattern& pattern, std::int64_t i, std::vector<std::int64_t>& keys);

// Which pattern each head of each block uses. blocks[b % blocks.size()] is the list for block b, heads cycle in it.
// Written as one pattern (merged), a list over blocks (interleaved), or a list of lists over heads (multi-head).
struct AttentionLayout {
  std::vector<std::vector<Pattern>> blocks;
  Pattern head(std::int64_t block, std::int64_t head) const;  // resolved by for_head
  bool operator==(const AttentionLayout&) const = default;
};

struct Reach {
  bool all = false;        // every query is reached by every earlier position
  int steps = 0;           // attention steps that this takes (layers used, in order); 0 where `all` is false
  std::int64_t query = 0;  // where `all` is false: a query and an earlier key that never reaches it
  std::int64_t key = 0;
  bool exact = true;  // false: n was too large to try every query; a few were tried, `steps` is theirs
};

// Whether information from every j <= i can arrive at i: layers applied in order, block 0 first and cycled, residual
// connections included, a layer's key sets the union over its heads. `steps` is the least number of layers after which
// all of it has arrived. Whether it ever does depends on no starting block; the number of steps may.
// Exact for n <= 4096, and for windows alone at any n; beyond, eight queries below 2^22 are tried, the last ones among
// them, at memory O(n).
Reach reach(const AttentionLayout& layout, std::int64_t heads, std::int64_t n);

// What is wrong or doubtful, one sentence each: summaries whose last sub-block no head owns, windows too narrow to be
// valid beside their column, strides far from sqrt(n), extents that do not fit, positions never reached.
std::vector<std::string> problems(const AttentionLayout& layout, std::int64_t heads, std::int64_t n);

// Pictures of the n x n matrix of pairs: query down, key across; where n is larger than the picture, a cell shows the
// share of its pairs that attend.
std::string draw_text(const Pattern& pattern, std::int64_t n, int columns);
Image draw_image(const Pattern& pattern, std::int64_t n, int pixels);
std::string draw_svg(const Pattern& pattern, std::int64_t n, int pixels);

}  // namespace longstride
#pragma GCC visibility pop
