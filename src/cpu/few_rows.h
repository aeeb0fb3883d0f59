// y = f(x W^T + bias) of few rows, as decoding has them: the weights stream from memory once, so that one row and
// several cost nearly the same. Cut into pieces of outputs, by shape alone; pieces run in any order, on any thread.
// An element does not depend on how many rows there are.
#pragma once

#include <cstdint>

#include "ops/ops.h"

namespace longstride::cpu {

// At most this many rows; beyond, oneDNN's products are faster although they pack the weights first.
inline constexpr std::int64_t kFewRows = 64;

std::int64_t few_rows_pieces(const Linear& op);
std::int64_t few_rows_scratch_bytes(const Linear& op);  // of one thread
// Where the weights of a piece begin.
const void* few_rows_weights(const Linear& op, std::int64_t piece);
// scratch: aligned to 64 bytes. next: where the weights begin that this thread reads after this piece, asked for ahead
// of time; nullptr: those behind the piece's own.
void few_rows_piece(const Linear& op, std::int64_t piece, void* scratch, const void* next = nullptr);

}  // namespace longstride::cpu
