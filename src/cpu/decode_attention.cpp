// This cuts a decoding step's attention into pieces, runs one, and joins what the pieces of a head found.
#include "cpu/decode_attention.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "cpu/attention.h"
#include "cpu/attention_kernels.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

namespace longstride {

namespace {

struct DecodePart {  // of one chunk
  float* maximum;    // of its scores; -inf where there are none
  float* sum;        // of 2^(score - maximum)
  float* out;        // (Dv) of 2^(score - maximum) * value
};

struct DecodeChunk {
  std::int64_t Dq, Dv;
  bool bf16;
  const void *q, *keys, *values;  // (Dq), rows of the head's first slot
  const std::int32_t* read;       // (count)
  std::int64_t count;
  const void* next_keys;  // of the piece that likely comes next, asked for ahead of time; nullptr: there is none
  const std::int32_t* next_read;
  std::int64_t next_count;
  float scale;     // with log2(e)
  float* weights;  // (count), up to a whole vector
  DecodePart part;
};

struct DecodeKernels {
  void (*chunk)(const DecodeChunk&);
  void (*join)(const float* parts, std::int64_t stride, const float* factors, std::int64_t chunks, void* out, bool bf16,
               std::int64_t Dv);
};

}  // namespace

}  // namespace longstride

#define LONGSTRIDE_KERNELS "cpu/decode_attention.inl"
#include "cpu/for_each_isa.h"

namespace longstride {

namespace {

// Their keys and values of 64 channels in bfloat16 are 64 KiB: long beside what a piece costs, short beside a step.
constexpr std::int64_t kChunkKeys = 256;

std::int64_t keys_of(const DecodeAttention& op, std::int64_t h) {
  return op.read_begin[op.group[h] + 1] - op.read_begin[op.group[h]];
}
std::int64_t chunks_of(const DecodeAttention& op, std::int64_t h) {
  return std::max<std::int64_t>(1, (keys_of(op, h) + kChunkKeys - 1) / kChunkKeys);
}
std::int64_t chunks_of_sequence(const DecodeAttention& op) {
  std::int64_t chunks = 0;
  for (std::int64_t h = 0; h < op.H; ++h) chunks += chunks_of(op, h);
  return chunks;
}

const char* element(const Matrix& m, std::int64_t r, std::int64_t c) {
  return static_cast<const char*>(m.data) + (r * m.stride + c) * size_of(m.type);
}

// What piece `piece` reads.
struct PieceReads {
  std::int64_t b, h, chunk, chunks, count;
  const char *keys, *values;  // rows of the head's first slot
  const std::int32_t* read;

  PieceReads(const DecodeAttention& op, std::int64_t piece) : h(0) {
    const std::int64_t a_sequence = chunks_of_sequence(op);
    b = piece / a_sequence;
    chunk = piece % a_sequence;
    for (; chunk >= chunks_of(op, h); ++h) chunk -= chunks_of(op, h);
    chunks = chunks_of(op, h);
    count = std::min(kChunkKeys, keys_of(op, h) - chunk * kChunkKeys);
    const std::int64_t first = b * op.slots + op.first_slot[h], size = size_of(op.q.type);
    keys = static_cast<const char*>(op.keys) + first * (op.q.cols / op.H) * size;
    values = static_cast<const char*>(op.values) + first * (op.v.cols / op.H) * size;
    read = op.read + op.read_begin[op.group[h]] + chunk * kChunkKeys;
  }
};

// Scratch of all threads: pieces of each sequence and head that are done (B * H), then the sums of each piece.
struct Scratch {
  std::int32_t* done;
  float* parts;         // out of piece p at p * stride, its maximum and sum after it
  std::int64_t stride;  // floats
  Scratch(const DecodeAttention& op, std::int64_t Dv, void* memory)
      : done(static_cast<std::int32_t*>(memory)),
        parts(static_cast<float*>(memory) + padded(op.B * op.H)),
        stride(padded(Dv + 2)) {}
  DecodePart part(std::int64_t piece) const {
    float* out = parts + piece * stride;
    return {out + stride - 2, out + stride - 1, out};
  }
};

void write_slots(const DecodeAttention& op, std::int64_t b, std::int64_t h, std::int64_t Dq, std::int64_t Dv) {
  const std::int32_t group = op.group[h];
  const std::int64_t first = b * op.slots + op.first_slot[h], size = size_of(op.q.type);
  for (std::int64_t w = op.write_begin[group]; w < op.write_begin[group + 1]; ++w) {
    std::memcpy(static_cast<char*>(op.keys) + (first + op.write[w]) * Dq * size, element(op.k, b, h * Dq),
                static_cast<std::size_t>(Dq * size));
    std::memcpy(static_cast<char*>(op.values) + (first + op.write[w]) * Dv * size, element(op.v, b, h * Dv),
                static_cast<std::size_t>(Dv * size));
  }
}

// out = sum over chunks c of 2^(maximum_c - maximum) out_c, over the same of sum_c; 0 where no key was read.
void join(const DecodeAttention& op, const Scratch& scratch, std::int64_t first, std::int64_t chunks, std::int64_t b,
          std::int64_t h, std::int64_t Dv, float* factors) {
  float maximum = -INFINITY, sum = 0;
  for (std::int64_t c = 0; c < chunks; ++c) maximum = std::max(maximum, *scratch.part(first + c).maximum);
  for (std::int64_t c = 0; c < chunks; ++c) {
    const DecodePart part = scratch.part(first + c);
    factors[c] = *part.maximum == maximum ? 1 : std::exp2(*part.maximum - maximum);
    sum += factors[c] * *part.sum;
  }
  const float scale = keys_of(op, h) == 0 ? 0 : 1 / sum;
  for (std::int64_t c = 0; c < chunks; ++c) factors[c] *= scale;
  void* out = const_cast<char*>(element(op.out, b, h * Dv));
  LONGSTRIDE_CHOOSE(kDecodeKernels)
      .join(scratch.parts + first * scratch.stride, scratch.stride, factors, chunks, out,
            op.out.type == DType::bfloat16, Dv);
}

}  // namespace

std::int64_t decode_attention_pieces(const DecodeAttention& op) { return op.B * chunks_of_sequence(op); }

std::int64_t decode_attention_scratch_bytes(const DecodeAttention& op) {
  return (padded(op.B * op.H) + decode_attention_pieces(op) * padded(op.v.cols / op.H + 2)) * 4;
}

std::int64_t decode_attention_thread_scratch_bytes(const DecodeAttention& op) {
  std::int64_t most = kChunkKeys;
  for (std::int64_t h = 0; h < op.H; ++h) most = std::max(most, chunks_of(op, h));
  return padded(most) * 4;
}

void decode_attention_piece(const DecodeAttention& op, std::int64_t piece, void* scratch_memory, void* thread_scratch) {
  const std::int64_t Dq = op.q.cols / op.H, Dv = op.v.cols / op.H;
  const PieceReads reads(op, piece);
  const std::int64_t b = reads.b, h = reads.h, chunks = reads.chunks;
  if (reads.chunk == chunks - 1) write_slots(op, b, h, Dq, Dv);  // of the slots read, only the last may be written
  const Scratch scratch(op, Dv, scratch_memory);
  auto* floats = static_cast<float*>(thread_scratch);
  DecodeChunk of{};
  of.Dq = Dq;
  of.Dv = Dv;
  of.bf16 = op.q.type == DType::bfloat16;
  of.q = element(op.q, b, h * Dq);
  of.keys = reads.keys;
  of.values = reads.values;
  of.read = reads.read;
  of.count = reads.count;
  if (piece + 1 < decode_attention_pieces(op)) {
    const PieceReads next(op, piece + 1);
    of.next_keys = next.keys;
    of.next_read = next.read;
    of.next_count = next.count;
  }
  of.scale = op.scale * kLog2e;
  of.weights = floats;
  of.part = scratch.part(piece);
  LONGSTRIDE_CHOOSE(kDecodeKernels).chunk(of);
  std::atomic_ref<std::int32_t> done(scratch.done[b * op.H + h]);
  if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < chunks) return;
  done.store(0, std::memory_order_relaxed);  // for the next operation
  join(op, scratch, piece - reads.chunk, chunks, b, h, Dv, floats);
}

void decode_attention(const DecodeAttention& op, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t pieces = decode_attention_pieces(op), bytes = decode_attention_scratch_bytes(op);
  const std::int64_t thread_bytes = Workspace::rounded(decode_attention_thread_scratch_bytes(op));
  void* scratch = workspace.take(bytes);
  std::memset(scratch, 0, static_cast<std::size_t>(bytes));
  char* thread_scratch = static_cast<char*>(workspace.take(threads() * thread_bytes));
#pragma omp parallel for schedule(dynamic) num_threads(threads()) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    decode_attention_piece(op, piece, scratch, thread_scratch + omp_get_thread_num() * thread_bytes);
}

void store_keys_values(const StoreKeysValues& op) {
  const std::int64_t Dq = op.k.cols / op.H, Dv = op.v.cols / op.H, size = size_of(op.k.type);
#pragma omp parallel for schedule(static) num_threads(threads())
  for (std::int64_t h = 0; h < op.H; ++h) {
    for (std::int64_t e = op.begin[op.group[h]]; e < op.begin[op.group[h] + 1]; ++e) {
      const std::int64_t row = op.first_slot[h] + op.slot[e];
      std::memcpy(static_cast<char*>(op.keys) + row * Dq * size, element(op.k, op.position[e], h * Dq),
                  static_cast<std::size_t>(Dq * size));
      std::memcpy(static_cast<char*>(op.values) + row * Dv * size, element(op.v, op.position[e], h * Dv),
                  static_cast<std::size_t>(Dv * size));
    }
  }
}

}  // namespace longstride
