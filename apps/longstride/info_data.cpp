// Data before anything is trained on them: how many, in which parts, how much they say, and the first window.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "info_words.h"
#include "words.h"

namespace longstride::program {
namespace {

constexpr std::size_t kShownBytes = 500;  // of a window of text

std::string text_of(const DataPreview& preview) { return {preview.window.begin(), preview.window.end()}; }

// "45,000 bytes", or of pictures "15 pictures".
std::string share_words(const DataPreview& preview, std::int64_t bytes) {
  return preview.data.kind == "image" ? counted(bytes / preview.unit, "picture") : counted(bytes, "byte");
}

std::string window_words(const DataPreview& preview, const std::string& window) {
  if (is_text(preview.data))
    return fmt::format("the first {} of training, below", counted(std::ssize(preview.window), "token"));
  const std::string what =
      preview.data.kind == "image"
          ? fmt::format("the first picture of training, {} x {}", preview.data.image_size[0],
                        preview.data.image_size[1])
          : fmt::format("the first {:.2f} s of training",
                        static_cast<double>(preview.window.size()) / static_cast<double>(preview.data.sample_rate));
  return what + (window.empty() ? "; --window FILE writes it" : ", in " + window);
}

}  // namespace

nlohmann::ordered_json preview_json(const DataPreview& preview, const std::string& window) {
  nlohmann::ordered_json json;
  json["kind"] = preview.data.kind;
  json["data"] = preview.description;
  json["bytes"] = preview.bytes;
  json["train_bytes"] = preview.train_bytes;
  json["valid_bytes"] = preview.valid_bytes;
  json["test_bytes"] = preview.test_bytes;
  json["order0_bits"] = preview.order0_bits;
  json["notes"] = preview.notes;
  json["window"] = nullptr;
  if (is_text(preview.data)) json["window"] = text_of(preview);
  if (!window.empty()) json["window_file"] = window;
  return json;
}

std::string preview_words(const DataPreview& preview, const std::string& window) {
  std::string words = two_columns(
      {{"kind", preview.data.kind},
       {"data", preview.description},
       {"parts",
        fmt::format("{} for training, {} for validation, {} for test", share_words(preview, preview.train_bytes),
                    share_words(preview, preview.valid_bytes), share_words(preview, preview.test_bytes))},
       {"order 0", fmt::format("{:.4f} bits per {} by their frequencies alone; 8 raw", preview.order0_bits,
                               bits_unit(preview.data))},
       {"window", window_words(preview, window)}});
  if (is_text(preview.data)) words += "\n" + printable(text_of(preview).substr(0, kShownBytes)) + "\n";
  return words;
}

}  // namespace longstride::program
