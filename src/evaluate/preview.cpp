// This opens data as training would and looks at them once.
#include "longstride/preview.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "data/dataset.h"
#include "evaluate/order0.h"
#include "io/words.h"

namespace longstride {

namespace {

// Why a part that was asked for is empty, and what training on such data will miss; empty: it is not, or was not asked
// for.
std::string empty_words(const Dataset& data, Split split) {
  const double share = data.config().split[split == Split::valid ? 1 : 2];
  if (data.part(split).size() > 0 || share == 0) return "";
  const std::int64_t units = data.size() / data.unit();
  const char* missed = split == Split::valid
                           ? "no bits on what the model has not seen while it learns, and the last "
                             "checkpoint in the place of the best"
                           : "no figure at the end on what neither it nor the choice of a checkpoint has seen";
  return fmt::format(
      "nothing is left for {}: {} of {} {}{} is less than one; training will have {}; give more data, or larger "
      "shares, such as --set data.split=[0.5,0.25,0.25]",
      split == Split::valid ? "validation" : "test", share, with_commas(units), data.unit() > 1 ? "picture" : "byte",
      units == 1 ? "" : "s", missed);
}

}  // namespace

DataPreview preview_data(const Config& config, const std::atomic<bool>* stop,
                         const std::function<void(const std::string& sentence)>& noted) {
  DataPreview preview;
  DatasetOptions options;
  options.stop = stop;
  options.noted = [&](const std::string& sentence) {
    preview.notes.push_back(sentence);
    if (noted) noted(sentence);
  };
  options.decoding = noted ? noted : [](const std::string&) {};
  const Dataset data(config.data, options);
  preview.data = data.config();
  preview.description = data.describe();
  for (const Split split : {Split::valid, Split::test})
    if (const std::string words = empty_words(data, split); !words.empty()) options.noted(words);
  preview.bytes = data.size();
  preview.unit = data.unit();
  const ByteRange train = data.part(Split::train);
  preview.train_bytes = train.size();
  preview.valid_bytes = data.part(Split::valid).size();
  preview.test_bytes = data.part(Split::test).size();
  preview.order0_bits = order0_bits(data, {0, data.size()});
  const std::int64_t most = data.unit() > 1 ? data.unit() : config.model.context;
  preview.window.resize(static_cast<std::size_t>(std::min(most, train.size())));
  if (!preview.window.empty()) data.read(train.begin, preview.window);
  return preview;
}

}  // namespace longstride
