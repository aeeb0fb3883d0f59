// This cuts attention against a cache into pieces, runs one, and joins what the pieces of a head found.
#include "cpu/decode_attention.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "cpu/attention_kernels.h"
#include "cpu/threads.h"
#include "cpu/workspace.h"

namespace longstride::cpu {

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

}  // namespace longstride::cpu

#define LONGSTRIDE_KERNELS "cpu/decode_attention.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

namespace {

// Their keys and values of 64 channels in bfloat16 are 64 KiB: long beside what a piece costs, short beside a step.
constexpr std::int64_t kChunkKeys = 256;

std::int64_t list_of(const DecodeAttention& op, std::int64_t r, std::int64_t h) { return r * op.groups + op.group[h]; }
std::int64_t keys_of(const DecodeAttention& op, std::int64_t r, std::int64_t h) {
  const std::int64_t list = list_of(op, r, h);
  return op.read_end[list] - op.read_begin[list];
}
std::int64_t chunks_of(const DecodeAttention& op, std::int64_t r, std::int64_t h) {
  return std::max<std::int64_t>(1, (keys_of(op, r, h) + kChunkKeys - 1) / kChunkKeys);
}
std::int64_t most_chunks(const DecodeAttention& op) {
  std::int64_t most = 1;
  for (std::int64_t list = 0; list < op.q.rows * op.groups; ++list)
    most = std::max(most, (op.read_end[list] - op.read_begin[list] + kChunkKeys - 1) / kChunkKeys);
  return most;
}

// Does row r go on with the sequence of the row before it?
bool goes_on(const DecodeAttention& op, std::int64_t r) { return r > 0 && op.sequence[r] == op.sequence[r - 1]; }
bool any_goes_on(const DecodeAttention& op) {
  for (std::int64_t r = 1; r < op.q.rows; ++r)
    if (goes_on(op, r)) return true;
  return false;
}

char* element(const Matrix& m, std::int64_t r, std::int64_t c) {
  return static_cast<char*>(m.data) + (r * m.stride + c) * size_of(m.type);
}

// What a chunk of row r's keys in head h reads.
struct ChunkReads {
  std::int64_t count;
  const char *keys, *values;  // rows of the head's first slot
  const std::int32_t* read;

  ChunkReads(const DecodeAttention& op, std::int64_t r, std::int64_t h, std::int64_t chunk)
      : count(std::min(kChunkKeys, keys_of(op, r, h) - chunk * kChunkKeys)) {
    const std::int64_t first = op.sequence[r] * op.slots + op.first_slot[h];
    keys = element(op.keys, first, 0);
    values = element(op.values, first, 0);
    read = op.read.data + op.read_begin[list_of(op, r, h)] + chunk * kChunkKeys;
  }
};

// Scratch of all threads, as an operation uses it.
struct Scratch : DecodeScratch {
  std::int64_t stride;  // floats from one chunk's sums to the next one's: out, then its maximum and sum
  std::int64_t chunks;  // places for a row and head
  Scratch(std::int64_t Dv, std::int64_t most, const DecodeScratch& memory)
      : DecodeScratch(memory), stride(padded(Dv + 2)), chunks(most) {}
  float* out(std::int64_t row_head, std::int64_t chunk) const { return parts + (row_head * chunks + chunk) * stride; }
  DecodePart part(std::int64_t row_head, std::int64_t chunk) const {
    float* at = out(row_head, chunk);
    return {at + stride - 2, at + stride - 1, at};
  }
};

void write_slots(const DecodeAttention& op, std::int64_t r, std::int64_t h, std::int64_t Dq, std::int64_t Dv) {
  const std::int64_t list = list_of(op, r, h), first = op.sequence[r] * op.slots + op.first_slot[h];
  const std::int64_t size = size_of(op.q.type);
  for (std::int64_t w = op.write_begin[list]; w < op.write_end[list]; ++w) {
    std::memcpy(element(op.keys, first + op.write[w], 0), element(op.k, r, h * Dq),
                static_cast<std::size_t>(Dq * size));
    std::memcpy(element(op.values, first + op.write[w], 0), element(op.v, r, h * Dv),
                static_cast<std::size_t>(Dv * size));
  }
}

// out = sum over chunks c of 2^(maximum_c - maximum) out_c, over the same of sum_c; 0 where no key was read.
void join(const DecodeAttention& op, const Scratch& scratch, std::int64_t r, std::int64_t h, std::int64_t Dv,
          float* factors) {
  const std::int64_t row_head = r * op.H + h, chunks = chunks_of(op, r, h);
  float maximum = -INFINITY, sum = 0;
  for (std::int64_t c = 0; c < chunks; ++c) maximum = std::max(maximum, *scratch.part(row_head, c).maximum);
  for (std::int64_t c = 0; c < chunks; ++c) {
    const DecodePart part = scratch.part(row_head, c);
    factors[c] = *part.maximum == maximum ? 1 : std::exp2(*part.maximum - maximum);
    sum += factors[c] * *part.sum;
  }
  const float scale = keys_of(op, r, h) == 0 ? 0 : 1 / sum;
  for (std::int64_t c = 0; c < chunks; ++c) factors[c] *= scale;
  LONGSTRIDE_CHOOSE(kDecodeKernels)
      .join(scratch.out(row_head, 0), scratch.stride, factors, chunks, element(op.out, r, h * Dv),
            op.out.type == DType::bfloat16, Dv);
}

// One chunk. next: what is read after it, as far as is known.
void read_chunk(const DecodeAttention& op, const Scratch& scratch, std::int64_t r, std::int64_t h, std::int64_t chunk,
                const ChunkReads* next, float* weights) {
  const std::int64_t Dq = op.q.cols / op.H, Dv = op.v.cols / op.H;
  const ChunkReads reads(op, r, h, chunk);
  DecodeChunk of{};
  of.Dq = Dq;
  of.Dv = Dv;
  of.bf16 = op.q.type == DType::bfloat16;
  of.q = element(op.q, r, h * Dq);
  of.keys = reads.keys;
  of.values = reads.values;
  of.read = reads.read;
  of.count = reads.count;
  if (next != nullptr) {
    of.next_keys = next->keys;
    of.next_read = next->read;
    of.next_count = next->count;
  }
  of.scale = op.scale * kLog2e;
  of.weights = weights;
  of.part = scratch.part(r * op.H + h, chunk);
  LONGSTRIDE_CHOOSE(kDecodeKernels).chunk(of);
}

// A head of all rows that go on with the sequence of row r, one after another.
void read_rows(const DecodeAttention& op, const Scratch& scratch, std::int64_t r, std::int64_t h, float* weights) {
  const std::int64_t Dq = op.q.cols / op.H, Dv = op.v.cols / op.H;
  do {
    write_slots(op, r, h, Dq, Dv);
    for (std::int64_t chunk = 0; chunk < chunks_of(op, r, h); ++chunk)
      read_chunk(op, scratch, r, h, chunk, nullptr, weights);
    join(op, scratch, r, h, Dv, weights);
  } while (++r < op.q.rows && goes_on(op, r));
}

}  // namespace

std::int64_t decode_attention_pieces(const DecodeAttention& op) {
  return op.q.rows * op.H * (any_goes_on(op) ? 1 : most_chunks(op));
}

std::int64_t decode_attention_most_pieces(const DecodeAttention& op) {
  return op.q.rows * op.H * (op.slots / kChunkKeys + 1);
}

std::int64_t decode_attention_done_bytes(const DecodeAttention& op) { return op.q.rows * op.H * 4; }

std::int64_t decode_attention_parts_bytes(const DecodeAttention& op) {
  return op.q.rows * op.H * most_chunks(op) * padded(op.v.cols / op.H + 2) * 4;
}

std::int64_t decode_attention_thread_scratch_bytes(const DecodeAttention& op) {
  return padded(std::max(kChunkKeys, most_chunks(op))) * 4;
}

void decode_attention_piece(const DecodeAttention& op, std::int64_t piece, std::int64_t pieces,
                            const DecodeScratch& scratch_memory, void* thread_scratch) {
  const std::int64_t Dq = op.q.cols / op.H, Dv = op.v.cols / op.H, row_heads = op.q.rows * op.H;
  const std::int64_t a_head = pieces / row_heads;
  auto* floats = static_cast<float*>(thread_scratch);
  const std::int64_t row_head = piece / a_head, chunk = piece % a_head, r = row_head / op.H, h = row_head % op.H;
  if (any_goes_on(op)) {
    if (!goes_on(op, r)) read_rows(op, Scratch(Dv, most_chunks(op), scratch_memory), r, h, floats);
    return;
  }
  const std::int64_t chunks = chunks_of(op, r, h);
  if (chunk >= chunks) return;
  const Scratch scratch(Dv, a_head, scratch_memory);
  if (chunk == chunks - 1) write_slots(op, r, h, Dq, Dv);  // of the slots read, only the last may be written
  std::optional<ChunkReads> next;
  if (chunk + 1 < chunks) {
    next.emplace(op, r, h, chunk + 1);
  } else if (row_head + 1 < row_heads) {
    next.emplace(op, (row_head + 1) / op.H, (row_head + 1) % op.H, 0);
  }
  read_chunk(op, scratch, r, h, chunk, next ? &*next : nullptr, floats);
  std::atomic_ref<std::int32_t> done(scratch.done[row_head]);
  if (done.fetch_add(1, std::memory_order_acq_rel) + 1 < chunks) return;
  done.store(0, std::memory_order_relaxed);  // for the next operation
  join(op, scratch, r, h, Dv, floats);
}

void decode_attention(const DecodeAttention& op, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t pieces = decode_attention_pieces(op), done_bytes = decode_attention_done_bytes(op);
  const std::int64_t thread_bytes = Workspace::rounded(decode_attention_thread_scratch_bytes(op));
  const DecodeScratch scratch{static_cast<std::int32_t*>(workspace.take(done_bytes)),
                              static_cast<float*>(workspace.take(decode_attention_parts_bytes(op)))};
  std::memset(scratch.done, 0, static_cast<std::size_t>(done_bytes));
  char* thread_scratch = static_cast<char*>(workspace.take(threads() * thread_bytes));
#pragma omp parallel for schedule(dynamic) num_threads(team()) if (pieces > 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece)
    decode_attention_piece(op, piece, pieces, scratch, thread_scratch + omp_get_thread_num() * thread_bytes);
}

void cache_rows(const CacheRows& op) {
  const std::int64_t Dq = op.k.cols / op.H, Dv = op.v.cols / op.H, size = size_of(op.k.type);
  const auto move = [&](char* row, char* slot, std::int64_t D) {
    std::memcpy(op.recall ? row : slot, op.recall ? slot : row, static_cast<std::size_t>(D * size));
  };
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t h = 0; h < op.H; ++h) {
    const std::int64_t first = op.sequence[0] * op.slots + op.first_slot[h];
    for (std::int64_t e = op.begin[op.group[h]]; e < op.begin[op.group[h] + 1]; ++e) {
      move(element(op.k, op.row[e], h * Dq), element(op.keys, first + op.slot[e], 0), Dq);
      move(element(op.v, op.row[e], h * Dv), element(op.values, first + op.slot[e], 0), Dv);
    }
  }
}

}  // namespace longstride::cpu
