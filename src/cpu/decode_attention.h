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

// Slot lists as they are now: another step has other pieces. Not the same scratch for two operations at once.
std::int64_t decode_attention_pieces(const DecodeAttention& op);
std::int64_t decode_attention_scratch_bytes(const DecodeAttention& op);         // of all threads; starts as zeros
std::int64_t decode_attention_thread_scratch_bytes(const DecodeAttention& op);  // of one thread
void decode_attention_piece(const DecodeAttention& op, std::int64_t piece, std::int64_t pieces, void* scratch,
                            void* thread_scratch);

}  // namespace longstride::cpu
