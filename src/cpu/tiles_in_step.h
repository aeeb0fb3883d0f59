// The tiles of neighbouring blocks of queries in step, so that keys and values are packed once for every block that
// reads them. Each block still gets its tiles in its own order, whatever the others do.
#pragma once

#include <cstdint>
#include <optional>

#include "cpu/attention_schedule.h"
#include "pattern/tiles.h"

namespace longstride::cpu {

class TilesInStep {
 public:
  // Blocks of one sweep, count at most kBlocksInStep.
  TilesInStep(const Tiling& tiling, const QueryBlock* blocks, int count) : count_(count) {
    for (int b = 0; b < count; ++b) {
      streams_[b].cursor.emplace(tiling, blocks[b]);
      advance(streams_[b]);
    }
  }

  // The next keys and, a bit a block, who reads them. False at the end.
  bool next() {
    for (int b = 0; b < count_; ++b)
      if (readers_ >> b & 1) advance(streams_[b]);
    const Stream* least = nullptr;
    for (int b = 0; b < count_; ++b)
      if (streams_[b].live && (least == nullptr || before(streams_[b], *least))) least = &streams_[b];
    if (least == nullptr) return false;
    keys_ = least->tile.keys;
    readers_ = 0;
    for (int b = 0; b < count_; ++b)
      if (streams_[b].live && same(streams_[b].tile.keys, keys_)) readers_ |= 1u << b;
    return true;
  }
  const Span& keys() const { return keys_; }
  bool reads(int block) const { return (readers_ >> block & 1) != 0; }
  const Tile& tile(int block) const { return streams_[block].tile; }

 private:
  // A cursor starts again from small keys a few times (windows, then each summary): blocks keep step within a round.
  struct Stream {
    std::optional<TileCursor> cursor;
    Tile tile;
    int round = 0;
    bool live = true;
  };

  static void advance(Stream& stream) {
    const std::int64_t last = stream.tile.keys.begin;
    stream.live = stream.cursor->next(stream.tile);
    if (stream.tile.keys.begin < last) ++stream.round;
  }
  static bool before(const Stream& a, const Stream& b) {
    return a.round != b.round ? a.round < b.round : a.tile.keys.begin < b.tile.keys.begin;
  }
  static bool same(const Span& a, const Span& b) {
    return a.begin == b.begin && a.count == b.count && a.run == b.run && a.step == b.step;
  }

  int count_;
  Stream streams_[kBlocksInStep];
  Span keys_;
  unsigned readers_ = 0;
};

}  // namespace longstride::cpu
