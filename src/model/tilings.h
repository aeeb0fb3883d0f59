// The patterns of a model's heads as tiles, for sequences of one length.
#pragma once

#include <memory>
#include <vector>

#include "longstride/config.h"
#include "pattern/tiles.h"

namespace longstride {

class HeadTilings {
 public:
  HeadTilings(const ModelConfig& model, std::int64_t tokens);

  // (H) of a block's heads; equal patterns share one. Valid while this lives.
  const Tiling* const* block(std::int64_t index) const {
    return heads_[static_cast<std::size_t>(index) % heads_.size()].data();
  }

 private:
  std::vector<std::unique_ptr<Tiling>> tilings_;    // distinct ones
  std::vector<std::vector<const Tiling*>> heads_;  // (blocks of the layout's cycle, H)
};

}  // namespace longstride
