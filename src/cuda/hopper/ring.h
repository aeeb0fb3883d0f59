// How rows of heads come to shared memory on Hopper: stages that are filled and emptied in turn, and boxes that a warp
// asks for.
#pragma once

#include <cstdint>

#include "cuda/attention/owners.h"
#include "cuda/hopper/async_unit.h"
#include "cuda/text.h"

namespace longstride::cuda {

// A stage of kStages, and the parity of its barriers' phase in this round.
template <int kStages>
struct RingPlace {
  int stage = 0, parity = 0;
  LONGSTRIDE_DEVICE void advance() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

// One warp asks for rows begin .. begin + count - 1 of some places as rows 0 .. of a SwizzledTile<kTileRows, kChannels>
// at `shared`, and announces all of the tile to the barrier. The other rows are zero.
// first: the position of row 0 of the map.
template <int kTileRows, int kChannels, class Block, class Unit>
LONGSTRIDE_DEVICE void bring(Block& block, Unit& unit, const HeadsMap& map, const Owner& owner, const Places& places,
                             int first, int begin, int count, char* shared, Barrier& barrier) {
  using Tile = SwizzledTile<kTileRows, kChannels>;
  if (block.lane() == 0) unit.arrive_for(barrier, Tile::kBytes);
  block.sync_warp();
  constexpr int kGroups = kTileRows / kNeighbours;
  for (int at = block.lane(); at < kGroups * Tile::kPanels; at += kWarp) {
    const int row = at % kGroups * kNeighbours, panel = at / kGroups, channel = panel * kBoxChannels;
    char* const to = shared + Tile::row_offset(row, panel);
    const int position = row < count ? places.at(begin + row) - first : map.positions;
    const int last = row + kNeighbours - 1;
    if (row >= count || (last < count && places.at(begin + last) - first == position + kNeighbours - 1)) {
      unit.copy(map.neighbours, map.order, to, barrier, channel, position, owner.h, owner.b);
    } else {
      for (int r = 0; r < kNeighbours; ++r)
        unit.copy(map.one, map.order, to + r * kBoxRowBytes, barrier, channel,
                  row + r < count ? places.at(begin + row + r) - first : map.positions, owner.h, owner.b);
    }
  }
}

}  // namespace longstride::cuda
