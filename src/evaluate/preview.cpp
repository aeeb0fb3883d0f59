// This opens data as training would and looks at them once.
#include "longstride/preview.h"

#include <algorithm>
#include <span>

#include "data/dataset.h"
#include "evaluate/order0.h"

namespace longstride {

DataPreview preview_data(const Config& config, const std::atomic<bool>* stop) {
  DataPreview preview;
  DatasetOptions options;
  options.stop = stop;
  options.noted = [&](const std::string& sentence) { preview.notes.push_back(sentence); };
  const Dataset data(config.data, options);
  preview.data = data.config();
  preview.description = data.describe();
  preview.bytes = data.size();
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
