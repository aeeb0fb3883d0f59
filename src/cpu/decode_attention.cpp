// One token of every sequence and head against its cache: the new key and value are stored, then the slots that the
// pattern names are read, in float32. Parallel over sequences and heads, each in one thread.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cpu/attention.h"
#include "cpu/attention_kernels.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

namespace longstride {

namespace {

struct DecodeHead {
  std::int64_t Dq, Dv;
  const float *q, *keys, *values;  // (Dq), rows of the head's first slot
  const std::int32_t* read;        // (count)
  std::int64_t count;
  float scale;     // with log2(e)
  float* weights;  // (count), up to a whole vector
  float* out;      // (Dv)
};

}  // namespace

}  // namespace longstride

#define LONGSTRIDE_KERNELS "cpu/decode_attention.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

namespace {

// Multiply-adds below which starting threads costs more than they save: about 10 microseconds of one core.
constexpr std::int64_t kThreadedWork = std::int64_t{1} << 17;

void write_slots(const DecodeAttention& op, std::int64_t b, std::int64_t h, std::int64_t Dq, std::int64_t Dv) {
  const std::int32_t group = op.group[h];
  const std::int64_t first = b * op.slots + op.first_slot[h];
  const float *key = op.k.f32() + b * op.k.stride + h * Dq, *value = op.v.f32() + b * op.v.stride + h * Dv;
  for (std::int64_t w = op.write_begin[group]; w < op.write_begin[group + 1]; ++w) {
    std::memcpy(op.keys + (first + op.write[w]) * Dq, key, static_cast<std::size_t>(Dq) * sizeof(float));
    std::memcpy(op.values + (first + op.write[w]) * Dv, value, static_cast<std::size_t>(Dv) * sizeof(float));
  }
}

}  // namespace

void decode_attention(const DecodeAttention& op, Workspace& workspace) {
  const std::int64_t Dq = op.q.cols / op.H, Dv = op.v.cols / op.H, heads = op.B * op.H;
  std::int64_t most = 0, work = 0;
  for (std::int64_t h = 0; h < op.H; ++h) {
    const std::int64_t count = op.read_begin[op.group[h] + 1] - op.read_begin[op.group[h]];
    most = std::max(most, count);
    work += op.B * count * (Dq + Dv);
  }
  const int team = static_cast<int>(std::min<std::int64_t>(threads(), work < kThreadedWork ? 1 : heads));
  const Workspace::Scope scope(workspace);
  float* memory = workspace.floats(team * padded(most));
  const auto kernel = LONGSTRIDE_CHOOSE(kDecodeHead);
#pragma omp parallel for schedule(dynamic) num_threads(team) if (team > 1)
  for (std::int64_t bh = 0; bh < heads; ++bh) {
    const std::int64_t b = bh / op.H, h = bh % op.H, first = b * op.slots + op.first_slot[h];
    const std::int64_t begin = op.read_begin[op.group[h]], end = op.read_begin[op.group[h] + 1];
    write_slots(op, b, h, Dq, Dv);
    kernel({Dq, Dv, op.q.f32() + b * op.q.stride + h * Dq, op.keys + first * Dq, op.values + first * Dv,
            op.read + begin, end - begin, op.scale * kLog2e, memory + omp_get_thread_num() * padded(most),
            op.out.f32() + b * op.out.stride + h * Dv});
  }
}

}  // namespace longstride
