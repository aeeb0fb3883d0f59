// Samples as pictures: one PNG, or several with a grid of all. Completions of a given picture follow the picture itself
// and its given part in the grid.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "longstride/error.h"
#include "sample_output.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::int64_t kMostInARow = 8;  // of completions, the picture and its given part
constexpr std::int64_t kMostScale = 64;

// Each pixel as a square of `scale` by `scale`.
Image enlarged(const Image& image, std::int64_t scale) {
  const auto times = static_cast<int>(scale);
  Image large{image.width * times, image.height * times, image.channels, {}};
  large.bytes.reserve(image.bytes.size() * static_cast<std::size_t>(scale * scale));
  for (int row = 0; row < large.height; ++row)
    for (int column = 0; column < large.width; ++column) {
      const auto pixel = image.bytes.begin() + (row / times * image.width + column / times) * image.channels;
      large.bytes.insert(large.bytes.end(), pixel, pixel + image.channels);
    }
  return large;
}

class PictureOutput : public SampleOutput {
 public:
  explicit PictureOutput(const SampleTask& task) : task_(task), place_(task, FileForm::png) {
    refuse_text_options(task);
    const std::int64_t scale = task.show.scale;
    if (scale < 1 || scale > kMostScale)
      throw_invalid(fmt::format("--scale: needs a whole number in [1, {}], got {}", kMostScale, scale));
  }

  void made(std::int64_t, std::uint8_t) override {}

  // A picture is whole or absent: interrupted, none is written.
  void finish(const Sequences& sequences, bool interrupted) override {
    if (interrupted) return;
    std::vector<Image> pictures;
    for (const std::vector<std::uint8_t>& tokens : sequences) pictures.push_back(token_picture(task_.data, tokens));
    for (std::size_t at = 0; at < pictures.size(); ++at) {
      write_png(enlarged(pictures[at], task_.show.scale), place_.take_single(static_cast<std::int64_t>(at)));
    }
    if (has_grid()) write_png(enlarged(grid_of(pictures), task_.show.scale), place_.take_whole());
    say(pictures.front(), sequences.front().size());
  }

  std::string left() const override { return "no picture was written"; }

  void tell(nlohmann::ordered_json& json, const Sequences& sequences) const override {
    if (has_grid()) json["grid"] = place_.whole();
    json["scale"] = task_.show.scale;
    const Image shape = token_picture(task_.data, {});
    nlohmann::ordered_json& samples = json["samples"] = nlohmann::ordered_json::array();
    for (std::size_t at = 0; at < sequences.size(); ++at) {
      samples.push_back({{"file", place_.single(static_cast<std::int64_t>(at))},
                         {"height", shape.height},
                         {"width", shape.width},
                         {"channels", shape.channels}});
    }
  }

 private:
  bool has_grid() const { return task_.options.count > 1 || (place_.folder() && task_.original); }

  Image grid_of(std::vector<Image> pictures) const {
    const auto count = static_cast<std::int64_t>(pictures.size());
    if (!task_.original) return picture_grid(pictures, std::llround(std::ceil(std::sqrt(count))));
    pictures.insert(pictures.begin(), {*task_.original, token_picture(task_.data, task_.options.prompt(0))});
    return picture_grid(pictures, std::min(count + 2, kMostInARow));
  }

  void say(const Image& picture, std::size_t tokens) const {
    const std::int64_t count = task_.options.count;
    const std::int64_t scale = task_.show.scale;
    const std::string enlargement =
        scale == 1 ? "" : fmt::format(" ({} x {}, each pixel {} x {})", picture.height, picture.width, scale, scale);
    const std::string size = fmt::format("{} x {}{}", picture.height * scale, picture.width * scale, enlargement);
    task_.line.print(count == 1
                         ? fmt::format("wrote {}: a picture of {}", escaped(place_.single(0)), size)
                         : fmt::format("wrote {}: {} pictures of {}; each alone: {} to {}", escaped(place_.whole()),
                                       count, size, escaped(place_.single(0)), escaped(place_.single(count - 1))));
    if (tokens < picture.bytes.size()) {
      const auto given = std::ssize(task_.options.prompt(0));
      task_.line.print(fmt::format("{} of the {} tokens of a picture were asked for{}: the rest is black",
                                   with_commas(static_cast<std::int64_t>(tokens) - given),
                                   with_commas(std::ssize(picture.bytes)),
                                   given == 0 ? "" : fmt::format(", after {} that were given", with_commas(given))));
    }
  }

  SampleTask task_;
  SamplePlace place_;
};

}  // namespace

std::unique_ptr<SampleOutput> make_picture_output(const SampleTask& task) {
  return std::make_unique<PictureOutput>(task);
}

}  // namespace longstride::program
