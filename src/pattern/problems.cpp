// What is wrong or doubtful about a layout: each a sentence with its remedy.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "longstride/pattern.h"
#include "pattern/parts.h"

namespace longstride {

namespace {

constexpr double kFarStride = 4;  // a stride this many times above or below sqrt(n) costs twice the pairs of the best

std::string text_of(const Part& part) {
  Part resolved = part;
  resolved.spread = false;
  return to_string({{resolved}});
}

class Examination {
 public:
  Examination(const AttentionLayout& layout, std::int64_t heads, std::int64_t n)
      : layout_(layout), heads_(heads), n_(n) {
    for (std::size_t b = 0; b < layout.blocks.size(); ++b)
      for (std::int64_t h = 0; h < heads; ++h)
        for (const Part& part : layout.head(static_cast<std::int64_t>(b), h).parts)
          if (std::find(parts_.begin(), parts_.end(), part) == parts_.end()) parts_.push_back(part);
  }

  std::vector<std::string> run() {
    unused_heads();
    for (const Part& part : parts_) extent(part);
    for (const Part& part : parts_) {
      last_sub_block(part);
      narrow_window(part);
      stride(part);
    }
    never_reached();
    return std::move(found_);
  }

 private:
  template <class... Arguments>
  void say(fmt::format_string<Arguments...> form, Arguments&&... arguments) {
    std::string sentence = fmt::format(form, std::forward<Arguments>(arguments)...);
    if (std::find(found_.begin(), found_.end(), sentence) == found_.end()) found_.push_back(std::move(sentence));
  }

  bool has_dense() const {
    return std::any_of(parts_.begin(), parts_.end(), [&](const Part& part) { return reduce({{part}}, n_).dense(); });
  }

  void unused_heads() {
    for (std::size_t b = 0; b < layout_.blocks.size(); ++b)
      if (static_cast<std::int64_t>(layout_.blocks[b].size()) > heads_)
        say("block {} lists {} patterns for {} head{}: those beyond are never used; give the model as many heads, or "
            "drop them",
            b, layout_.blocks[b].size(), heads_, heads_ == 1 ? "" : "s");
  }

  void extent(const Part& part) {
    const std::int64_t l = part.length;
    const std::string text = text_of(part);
    switch (part.primitive) {
      case Primitive::window:
        if (l >= n_ && n_ > 1)
          say("{} is as wide as the whole length {}: it is dense; write dense, or a smaller number", text, n_);
        return;
      case Primitive::prefix:
        if (l > n_) say("{} is longer than the length {}: it is dense; write dense, or a smaller number", text, n_);
        return;
      case Primitive::column:
      case Primitive::digits:
        if (part.primitive == Primitive::digits ? power(l, part.cells - 1) >= n_ && part.cells > 1 : l > n_)
          say("{} does not fit the length {}: each query reads itself alone; its stride must be below the length", text,
              n_);
        return;
      case Primitive::row:
        if (l > n_)
          say("{} does not fit the length {}: one row holds everything, which is dense; write dense, or a smaller "
              "number",
              text, n_);
        return;
      case Primitive::summary:
        if (l > n_)
          say("{} does not fit the length {}: no row is complete, so nothing is summarised; its row must be shorter",
              text, n_);
        return;
      case Primitive::previous_row:
        if (l >= n_)
          say("{} does not fit the length {}: there is no previous row, so it reads nothing; its row must be shorter",
              text, n_);
        return;
      case Primitive::dense:
        return;
    }
  }

  // The last sub-block is the only one that a whole row's positions come before.
  void last_sub_block(const Part& part) {
    if (part.primitive != Primitive::summary || part.block == 0 || has_dense()) return;
    for (const Part& other : parts_)
      if (other.primitive == Primitive::summary && other.length == part.length && other.block == 0) return;
    say("{}: no head owns the last sub-block of the rows of {}, so the positions after the cells are summarised "
        "nowhere; "
        "add summary({},{}) or use fixed({},{})",
        text_of(part), part.length, part.length, part.cells, part.length, part.cells);
  }

  // A window and a column carry everything in as many layers only if the window spans the stride (the paper, 4.2).
  void narrow_window(const Part& part) {
    const std::int64_t stride = part.primitive == Primitive::column   ? part.length
                                : part.primitive == Primitive::digits ? power(part.length, part.cells - 1)
                                                                      : 1;
    if (stride <= 1 || stride > n_ || has_dense()) return;
    std::int64_t widest = 0;
    for (const Part& other : parts_) {
      if (other.primitive == Primitive::window) widest = std::max(widest, other.length);
      if (other.primitive == Primitive::digits && power(other.length, other.cells - 1) == 1)
        widest = std::max(widest, other.length);
      if (other.primitive == Primitive::digits && other.cells > 1 && part.primitive == Primitive::digits &&
          other.cells < part.cells)
        return;  // lower digits fill the gap
    }
    if (widest > 0 && widest < stride)
      say("window({}) is too narrow beside {}: some positions take more layers to arrive; use window({}) or wider",
          widest, text_of(part), stride);
  }

  void stride(const Part& part) {
    if (part.primitive != Primitive::column && part.primitive != Primitive::summary) return;
    const double root = std::sqrt(static_cast<double>(n_)), l = static_cast<double>(part.length);
    if (part.length > n_ || (l <= kFarStride * root && l * kFarStride >= root)) return;
    say("the stride {} is far from the square root of the length {}, {:.0f}: {}; choose one nearer to {:.0f}",
        part.length, n_, root,
        l > root ? "windows and rows of that size dominate the work" : "columns and summaries dominate the work", root);
  }

  void never_reached() {
    const Reach reach = longstride::reach(layout_, heads_, n_);
    if (!reach.all)
      say("position {} never arrives at position {}, however many layers: not every earlier position is reached; add a "
          "part that links them, such as a window, a row or a column",
          reach.key, reach.query);
  }

  const AttentionLayout& layout_;
  std::int64_t heads_;
  std::int64_t n_;
  std::vector<Part> parts_;  // all that some head of some block has
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> problems(const AttentionLayout& layout, std::int64_t heads, std::int64_t n) {
  return Examination(layout, heads, n).run();
}

}  // namespace longstride
