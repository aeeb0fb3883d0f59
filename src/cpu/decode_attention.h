// Queries of some rows against the caches of their sequences (ops.h), cut into pieces: a row, a head and at most
// kChunkKeys of the slots that it reads; where rows go on with the sequence of the row before, a sequence and a head.
// Pieces run in any order, on any thread; whichever of a row and head is done last puts their sums together, in
// ascending order of keys. What a row gives depends on that row's lists and cache alone.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride::cpu {

class Workspace;

void decode_attention(const DecodeAttention& op, Workspace& workspace);
void cache_rows(const CacheRows& op);

// Scratch of all threads. Operations of any shapes may use it one after another, not two at once.
struct DecodeScratch {
  std::int32_t* done;  // (R * H) chunks of each row and head that are done: zeros before and after an operation
  float* parts;        // sums of each chunk
};

// Slot lists as they are now: another step has other pieces.
std::int64_t decode_attention_pieces(const DecodeAttention& op);
std::int64_t decode_attention_most_pieces(const DecodeAttention& op);  // whatever the lists
std::int64_t decode_attention_done_bytes(const DecodeAttention& op);
std::int64_t decode_attention_parts_bytes(const DecodeAttention& op);
std::int64_t decode_attention_thread_scratch_bytes(const DecodeAttention& op);  // of one thread
void decode_attention_piece(const DecodeAttention& op, std::int64_t piece, std::int64_t pieces,
                            const DecodeScratch& scratch, void* thread_scratch);

}  // namespace longstride::cpu
