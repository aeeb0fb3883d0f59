// This finds the tensors that stay float32, and what each process moves of them.
#include "train/float_tensors.h"

namespace longstride {

namespace {

constexpr std::int64_t kFloatAlignment = 16;  // elements: 64 bytes

bool is_read_rounded(const Parameter& entry) { return entry.shape.size() == 2 && entry.part != "embeddings"; }

}  // namespace

FloatTensors::FloatTensors(const ParameterTable& table) {
  bool joins = false;
  for (const Parameter& entry : table.entries()) {
    if (is_read_rounded(entry)) {
      joins = false;
      continue;
    }
    if (!joins) runs_.push_back({entry.offset, 0, (elements_ + kFloatAlignment - 1) / kFloatAlignment * kFloatAlignment});
    joins = true;
    Run& run = runs_.back();
    run.count = entry.offset + entry.count - run.begin;
    places_[entry.offset] = run.place + entry.offset - run.begin;
    elements_ = run.place + run.count;
  }
}

std::vector<FloatTensors::Piece> FloatTensors::moved(const Shards& shards, int p) const {
  std::vector<Piece> pieces;
  for (int s = 0; s < shards.segments(); ++s) {
    for (const Run& run : runs_) {
      for (const ElementRange& part : {shards.before_rows(s, p), shards.behind_rows(s, p)}) {
        const ElementRange piece = intersection({run.begin, run.begin + run.count}, part);
        if (piece.size() > 0) pieces.push_back({piece.begin, piece.size(), s, run.place + piece.begin - run.begin});
      }
    }
  }
  return pieces;
}

}  // namespace longstride
