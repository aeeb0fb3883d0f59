// One token of every sequence and head against its cache, cut into pieces: a sequence, a head and at most kChunkKeys of
// the slots that it reads. Pieces depend on shapes alone and run in any order, on any thread; whichever of a head's is
// done last puts their sums together, in ascending order of keys.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride {
class Workspace;
}

namespace longstride::cpu {

void decode_attention(const DecodeAttention& op, Workspace& workspace);
void store_keys_values(const StoreKeysValues& op);

// Slot lists as they are now: another step has other pieces. Not the same scratch for two operations at once.
std::int64_t decode_attention_pieces(const DecodeAttention& op);
std::int64_t decode_attention_scratch_bytes(const DecodeAttention& op);         // of all threads; starts as zeros
std::int64_t decode_attention_thread_scratch_bytes(const DecodeAttention& op);  // of one thread
void decode_attention_piece(const DecodeAttention& op, std::int64_t piece, void* scratch, void* thread_scratch);

}  // namespace longstride::cpu
