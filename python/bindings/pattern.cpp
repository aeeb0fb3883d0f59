// Patterns and layouts of attention: which query reads which key.
#include "longstride/pattern.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>

#include "arrays.h"
#include "bindings.h"
#include "longstride/config.h"
#include "longstride/error.h"

namespace longstride::python {
namespace {

using namespace nb::literals;

constexpr std::int64_t kLongest = std::int64_t{1} << 31;  // counts of pairs fit 64 bits
constexpr std::int64_t kMostHeads = 4096;
constexpr int kMostPixels = 8192;  // a side of a picture

void check_range(const char* what, std::int64_t number, std::int64_t first, std::int64_t last) {
  if (number >= first && number <= last) return;
  throw_invalid(std::string(what) + ": needs a whole number in [" + std::to_string(first) + ", " +
                std::to_string(last) + "], got " + std::to_string(number));
}
void check_position(std::int64_t at) { check_range("position", at, 0, kLongest - 1); }
void check_length(std::int64_t length) { check_range("length", length, 1, kLongest); }
void check_heads(std::int64_t heads) { check_range("heads", heads, 1, kMostHeads); }
void check_pixels(int pixels) { check_range("pixels", pixels, 1, kMostPixels); }

ArrayOut<bool> attends_each(const Pattern& pattern, const ArrayIn<std::int64_t>& i, const ArrayIn<std::int64_t>& j) {
  if (i.size() != j.size()) throw_invalid("attends: needs as many queries as keys");
  for (const std::int64_t at : span_of(i)) check_position(at);
  for (const std::int64_t at : span_of(j)) check_position(at);
  const std::size_t size = i.size();
  auto answers = std::make_unique<bool[]>(size);
  without_lock([&] {
    for (std::size_t at = 0; at < size; ++at) answers[at] = attends(pattern, i.data()[at], j.data()[at]);
  });
  bool* held = answers.release();
  const nb::capsule owner(held, [](void* array) noexcept { delete[] static_cast<bool*>(array); });
  return ArrayOut<bool>(held, {size}, owner);
}

ArrayOut<std::int64_t> count_each(const Pattern& pattern, const ArrayIn<std::int64_t>& i) {
  for (const std::int64_t at : span_of(i)) check_position(at);
  return array_of(without_lock([&] {
    std::vector<std::int64_t> counts;
    counts.reserve(i.size());
    for (const std::int64_t at : span_of(i)) counts.push_back(count_keys(pattern, at));
    return counts;
  }));
}

ArrayOut<std::int64_t> keys_of(const Pattern& pattern, std::int64_t i) {
  check_position(i);
  return array_of(without_lock([&] {
    std::vector<std::int64_t> keys;
    list_keys(pattern, i, keys);
    return keys;
  }));
}

ArrayOut<std::uint8_t> drawn_image(const Pattern& pattern, std::int64_t length, int pixels) {
  check_length(length);
  check_pixels(pixels);
  return array_of(without_lock([&] { return draw_image(pattern, length, pixels); }));
}

void bind_one_pattern(nb::module_& module) {
  nb::class_<Pattern>(module, "Pattern", "What longstride.Pattern is made of.")
      .def(
          "__init__", [](Pattern* self, const std::string& text) { new (self) Pattern(parse_pattern(text)); }, "text"_a)
      .def("__str__", [](const Pattern& self) { return to_string(self); })
      .def("_for_head",
           [](const Pattern& self, std::int64_t head) {
             check_range("head", head, 0, kMostHeads - 1);
             return to_string(for_head(self, head));
           })
      .def("_attends", attends_each)
      .def("_count", count_each)
      .def("_keys", keys_of)
      .def("_pairs",
           [](const Pattern& self, std::int64_t length) {
             check_length(length);
             return without_lock([&] { return count_pairs(self, length); });
           })
      .def("_max_keys",
           [](const Pattern& self, std::int64_t length) {
             check_length(length);
             return without_lock([&] { return max_keys(self, length); });
           })
      .def("_draw_text",
           [](const Pattern& self, std::int64_t length, int columns) {
             check_length(length);
             check_range("columns", columns, 1, kMostPixels);
             return without_lock([&] { return draw_text(self, length, columns); });
           })
      .def("_draw_svg",
           [](const Pattern& self, std::int64_t length, int pixels) {
             check_length(length);
             check_pixels(pixels);
             return without_lock([&] { return draw_svg(self, length, pixels); });
           })
      .def("_draw_image", drawn_image);
}

// all, steps, query, key, exact
nb::tuple reach_of(const AttentionLayout& layout, std::int64_t heads, std::int64_t length) {
  check_heads(heads);
  check_length(length);
  const Reach found = without_lock([&] { return reach(layout, heads, length); });
  return nb::make_tuple(found.all, found.steps, found.query, found.key, found.exact);
}

void bind_layout(nb::module_& module) {
  nb::class_<AttentionLayout>(module, "Layout", "Patterns of blocks and of their heads, as model.attention says them.")
      .def(
          "__init__",
          [](AttentionLayout* self, const std::string& text) { new (self) AttentionLayout(read_attention(text)); },
          "json_or_text"_a)
      .def("__str__", [](const AttentionLayout& self) { return write_attention(self); })
      .def("lists",
           [](const AttentionLayout& self) {
             std::vector<std::vector<std::string>> lists;
             for (const std::vector<Pattern>& heads : self.blocks) {
               lists.emplace_back();
               for (const Pattern& pattern : heads) lists.back().push_back(to_string(pattern));
             }
             return lists;
           })
      .def("head",
           [](const AttentionLayout& self, std::int64_t block, std::int64_t head) {
             check_range("block", block, 0, kLongest);
             check_range("head", head, 0, kMostHeads - 1);
             return to_string(self.head(block, head));
           })
      .def("reach", reach_of)
      .def("problems", [](const AttentionLayout& self, std::int64_t heads, std::int64_t length) {
        check_heads(heads);
        check_length(length);
        return without_lock([&] { return problems(self, heads, length); });
      });
}

}  // namespace

void bind_pattern(nb::module_& module) {
  bind_one_pattern(module);
  bind_layout(module);
}

}  // namespace longstride::python
