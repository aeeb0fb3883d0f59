// One query a row against a cache: a row's list of keys is cut into parts by its length alone, each with a softmax of
// its own, which a second kernel joins in their order. Rows of one sequence that follow one another are done by one
// block, row after row, with the same parts: to the bits of each row alone.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cuda/grid.h"
#include "cuda/text.h"
#include "ops/ops.h"

namespace longstride::cuda {

inline constexpr int kPartKeys = 64, kMostParts = 32;

// Parts of a list of keys; their number rises until there are kMostParts, and then their length does.
constexpr int parts_of(std::int64_t keys) {
  const std::int64_t parts = divide_up(keys, kPartKeys);
  return parts < 1 ? 1 : parts > kMostParts ? kMostParts : static_cast<int>(parts);
}
// The first key of a part; that of part parts_of(keys) is the end.
constexpr std::int64_t part_begin(std::int64_t keys, int part) { return keys * part / parts_of(keys); }

// The operation, and the parts of each row and head: (R, H, parts, 2 + Dv): the largest score, the sum of weights, the
// sums of weighted values.
template <class A>
struct DecodeNumbers {
  std::int64_t R, H, G, slots;
  int Dq, Dv;
  float scale;  // times log2(e)
  Rows<A> q, k, v, out, keys, values;
  bool aligned;  // rows of keys begin at multiples of 16 bytes, and are as long
  const std::int32_t *sequence, *group, *write, *read;
  const std::int64_t *first_slot, *write_begin, *write_end, *read_begin, *read_end;
  float* parts;
  int most_parts;

  LONGSTRIDE_DEVICE bool goes_on(std::int64_t r) const { return r > 0 && r < R && sequence[r] == sequence[r - 1]; }
  LONGSTRIDE_DEVICE std::int64_t list(std::int64_t r, std::int64_t h) const { return r * G + group[h]; }
  LONGSTRIDE_DEVICE std::int64_t keys_of(std::int64_t r, std::int64_t h) const {
    return read_end[list(r, h)] - read_begin[list(r, h)];
  }
  LONGSTRIDE_DEVICE std::int64_t slot(std::int64_t r, std::int64_t h) const {  // the head's first one
    return sequence[r] * slots + first_slot[h];
  }
  LONGSTRIDE_DEVICE float* part(std::int64_t r, std::int64_t h, int which) const {
    return parts + ((r * H + h) * most_parts + which) * (2 + Dv);
  }
};

template <class A>
struct DecodePartsKernel {
  static constexpr int kThreads = 128, kChunk = 16 / static_cast<int>(sizeof(A));
  static constexpr int kChannels = static_cast<int>(kMaxHeadChannels);
  DecodeNumbers<A> op;

  // Of a block. Sums: of groups of threads that share the channels. Between what reads one of these and what writes it
  // again there is always a barrier that is there for another: of the query, of the largest score, of the weights.
  struct Shared {
    float q[kChannels];
    float weights[kThreads];
    float largest[kThreads / kWarp];
    float sums[2 * kThreads];
    float of_weights[kThreads];
  };
  std::size_t shared_bytes() const { return sizeof(Shared); }

  // x: rows times parts; y: heads
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = block.index().x / op.most_parts, h = block.index().y;
    const int part = block.index().x % op.most_parts;
    if (op.goes_on(r)) return;  // done by the block of the row that it goes on from
    const int parts = parts_of(op.keys_of(r, h));
    if (!op.goes_on(r + 1)) {
      if (part >= parts) return;
      if (part + 1 == parts) write_slots(block, r, h);  // of the slots that are read only the last may be written
      read_part(block, r, h, part);
    } else if (part == 0) {
      std::int64_t row = r;
      do {
        write_slots(block, row, h);
        for (int each = 0; each < parts_of(op.keys_of(row, h)); ++each) read_part(block, row, h, each);
      } while (op.goes_on(++row));
    }
  }

 private:
  // Seen by all threads of the block once the query is (read_part).
  template <class Block>
  LONGSTRIDE_DEVICE void write_slots(Block& block, std::int64_t r, std::int64_t h) const {
    const std::int64_t list = op.list(r, h);
    for (std::int64_t w = op.write_begin[list]; w < op.write_end[list]; ++w) {
      const std::int64_t slot = op.slot(r, h) + op.write[w];
      for (int d = block.thread(); d < op.Dq; d += kThreads) op.keys.at(slot, d) = op.k.at(r, h * op.Dq + d);
      for (int d = block.thread(); d < op.Dv; d += kThreads) op.values.at(slot, d) = op.v.at(r, h * op.Dv + d);
    }
  }

  LONGSTRIDE_DEVICE float score(const float* q, const A* key) const {
    struct alignas(16) Chunk {
      A x[kChunk];
    };
    float sum[4] = {};
    for (int d = 0; d < op.Dq; d += kChunk) {
      float x[kChunk];
      if (op.aligned) {
        const Chunk chunk = *reinterpret_cast<const Chunk*>(key + d);
        LONGSTRIDE_UNROLL
        for (int e = 0; e < kChunk; ++e) x[e] = to_float(chunk.x[e]);
      } else {
        LONGSTRIDE_UNROLL
        for (int e = 0; e < kChunk; ++e) x[e] = d + e < op.Dq ? to_float(key[d + e]) : 0.0f;
      }
      LONGSTRIDE_UNROLL
      for (int e = 0; e < kChunk; ++e) sum[e % 4] = fma(q[d + e], x[e], sum[e % 4]);
    }
    return op.scale * ((sum[0] + sum[1]) + (sum[2] + sum[3]));
  }

  // What a thread sums: channels `channel` and `channel` + kThreads of every groups-th key.
  struct Share {
    int width, channel, group, groups;
    float sum[2] = {0, 0}, weights = 0;
    LONGSTRIDE_DEVICE Share(int thread, int Dv)
        : width(Dv <= 32   ? 32
                : Dv <= 64 ? 64
                           : kThreads),
          channel(thread % width),
          group(thread / width),
          groups(kThreads / width) {}
  };

  template <class Block>
  LONGSTRIDE_DEVICE void read_part(Block& block, std::int64_t r, std::int64_t h, int part) const {
    Shared& shared = *block.template shared<Shared>();
    const std::int64_t keys = op.keys_of(r, h), end = part_begin(keys, part + 1), slot = op.slot(r, h);
    const std::int32_t* const read = op.read + op.read_begin[op.list(r, h)];
    for (int d = block.thread(); d < kChannels; d += kThreads)
      shared.q[d] = d < op.Dq ? to_float(op.q.at(r, h * op.Dq + d)) : 0.0f;
    block.sync();
    Share share(block.thread(), op.Dv);
    float largest = -INFINITY;
    for (std::int64_t first = part_begin(keys, part); first < end; first += kThreads) {
      const int count = static_cast<int>(min<std::int64_t>(kThreads, end - first));
      const bool there = block.thread() < count;
      const float own = there ? score(shared.q, op.keys.row(slot + read[first + block.thread()])) : -INFINITY;
      const float before = largest;
      largest = max(largest, largest_of(block, shared, own));
      const float base = largest == -INFINITY ? 0.0f : largest;
      shared.weights[block.thread()] = there ? exp2(own - base) : 0.0f;
      block.sync();
      const float less = exp2(before - base);
      share.weights *= less, share.sum[0] *= less, share.sum[1] *= less;
      for (int key = share.group; key < count; key += share.groups) {
        const float weight = shared.weights[key];
        const A* const value = op.values.row(slot + read[first + key]);
        share.weights += weight;
        if (share.channel < op.Dv) share.sum[0] = fma(weight, to_float(value[share.channel]), share.sum[0]);
        if (share.channel + kThreads < op.Dv)
          share.sum[1] = fma(weight, to_float(value[share.channel + kThreads]), share.sum[1]);
      }
    }
    add_groups(block, shared, share, largest, op.part(r, h, part));
  }

  template <class Block>
  LONGSTRIDE_DEVICE float largest_of(Block& block, Shared& shared, float x) const {
    for (int apart = kWarp / 2; apart > 0; apart /= 2) x = max(x, block.shuffle_xor(x, apart));
    if (block.lane() == 0) shared.largest[block.warp()] = x;
    block.sync();
    x = shared.largest[0];
    for (int warp = 1; warp < kThreads / kWarp; ++warp) x = max(x, shared.largest[warp]);
    return x;
  }

  // Sums of the groups, in their order, go out as the part.
  template <class Block>
  LONGSTRIDE_DEVICE void add_groups(Block& block, Shared& shared, const Share& share, float largest,
                                    float* part) const {
    const int at = block.thread();
    shared.sums[at] = share.sum[0], shared.sums[kThreads + at] = share.sum[1];
    shared.of_weights[at] = share.weights;
    block.sync();
    if (share.group == 0) {
      float sum[2] = {0, 0}, weights = 0;
      for (int group = 0; group < share.groups; ++group) {
        sum[0] += shared.sums[group * share.width + share.channel];
        sum[1] += shared.sums[kThreads + group * share.width + share.channel];
        weights += shared.of_weights[group * share.width];
      }
      if (share.channel < op.Dv) part[2 + share.channel] = sum[0];
      if (share.channel + kThreads < op.Dv) part[2 + share.channel + kThreads] = sum[1];
      if (share.channel == 0) part[0] = largest, part[1] = weights;
    }
  }
};

// out = sum over parts p of 2^(largest_p - largest) values_p, over the same of weights_p; 0 where no key was read.
template <class A>
struct DecodeJoinKernel {
  static constexpr int kThreads = 64;
  DecodeNumbers<A> op;

  std::size_t shared_bytes() const { return 0; }
  // x: rows; y: heads
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = block.index().x, h = block.index().y;
    const int parts = parts_of(op.keys_of(r, h));
    float largest = -INFINITY, weights = 0;
    for (int p = 0; p < parts; ++p) largest = max(largest, op.part(r, h, p)[0]);
    const float base = largest == -INFINITY ? 0.0f : largest;
    for (int p = 0; p < parts; ++p) weights += exp2(op.part(r, h, p)[0] - base) * op.part(r, h, p)[1];
    const float factor = weights == 0 ? 0.0f : 1 / weights;
    for (int d = block.thread(); d < op.Dv; d += kThreads) {
      float sum = 0;
      for (int p = 0; p < parts; ++p) sum = fma(exp2(op.part(r, h, p)[0] - base), op.part(r, h, p)[2 + d], sum);
      op.out.at(r, h * op.Dv + d) = from_float<A>(sum * factor);
    }
  }
};

}  // namespace longstride::cuda
