// Distinct tilings of a model's layout (model/tilings.h).
#include "model/tilings.h"

#include <algorithm>

namespace longstride {

HeadTilings::HeadTilings(const ModelConfig& model, std::int64_t tokens) {
  const auto cycle = std::min<std::int64_t>(static_cast<std::int64_t>(model.attention.blocks.size()), model.layers);
  for (std::int64_t block = 0; block < cycle; ++block) {
    std::vector<const Tiling*>& heads = heads_.emplace_back();
    for (std::int64_t head = 0; head < model.heads; ++head) {
      const Pattern pattern = model.attention.head(block, head);
      const auto same = [&](const std::unique_ptr<Tiling>& tiling) { return tiling->pattern() == pattern; };
      auto found = std::find_if(tilings_.begin(), tilings_.end(), same);
      if (found == tilings_.end()) found = tilings_.insert(tilings_.end(), std::make_unique<Tiling>(pattern, tokens));
      heads.push_back(found->get());
    }
  }
}

}  // namespace longstride
