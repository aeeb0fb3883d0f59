// Few rows against weights that stream past them: pieces of outputs (cpu/few_rows.h).
#include "cpu/few_rows.h"

#include <algorithm>

namespace longstride::cpu {

namespace {

struct FewRows {
  std::int64_t N, M, K;
  std::int64_t begin, end;  // outputs to make
  const void* x;            // (N, K)
  std::int64_t x_stride;
  const void* w;  // (M, K)
  std::int64_t w_stride;
  const void* next;   // weights asked for during the last block; nullptr: those behind it
  bool bf16;          // x, w and pre
  const float* bias;  // (M), optional
  bool activates;
  void* pre;  // (N, M), optional
  std::int64_t pre_stride;
  void* y;  // (N, M)
  std::int64_t y_stride;
  bool y_bf16;
  float* scratch;  // (N, lanes)
};

struct FewRowsKernel {
  int lanes;
  void (*run)(const FewRows& op);
};

}  // namespace

}  // namespace longstride::cpu

#define LONGSTRIDE_KERNELS "cpu/few_rows.inl"
#include "cpu/for_each_isa.h"

namespace longstride::cpu {

namespace {

constexpr std::int64_t kMostLanes = 16;

// Weights a piece: long enough for the memory to run at its rate, short enough that threads end together.
constexpr std::int64_t kPieceBytes = 32 << 10;

bool is_bf16(const Matrix& m) { return m.type == DType::bfloat16; }

// A multiple of every vector's lanes, so that blocks are the same whatever the piece.
std::int64_t piece_outputs(const Linear& op) {
  const std::int64_t row_bytes = op.w.cols * size_of(op.w.type);
  return std::max<std::int64_t>(1, kPieceBytes / (kMostLanes * row_bytes)) * kMostLanes;
}

}  // namespace

std::int64_t few_rows_pieces(const Linear& op) {
  const std::int64_t outputs = piece_outputs(op);
  return (op.w.rows + outputs - 1) / outputs;
}

std::int64_t few_rows_scratch_bytes(const Linear& op) { return op.x.rows * kMostLanes * 4; }

const void* few_rows_weights(const Linear& op, std::int64_t piece) {
  const std::int64_t first = std::min(op.w.rows, piece * piece_outputs(op));
  return op.w.rows_from(first, op.w.rows - first).data;
}

void few_rows_piece(const Linear& op, std::int64_t piece, void* scratch, const void* next) {
  const std::int64_t outputs = piece_outputs(op);
  FewRows rows{};
  rows.N = op.x.rows;
  rows.M = op.w.rows;
  rows.K = op.w.cols;
  rows.begin = piece * outputs;
  rows.end = std::min(rows.M, rows.begin + outputs);
  rows.x = op.x.data;
  rows.x_stride = op.x.stride;
  rows.w = op.w.data;
  rows.w_stride = op.w.stride;
  rows.next = next;
  rows.bf16 = is_bf16(op.w);
  rows.bias = op.bias.data;
  rows.activates = op.activation == Activation::gelu_sigmoid;
  rows.pre = op.pre.data;
  rows.pre_stride = op.pre.stride;
  rows.y = op.y.data;
  rows.y_stride = op.y.stride;
  rows.y_bf16 = is_bf16(op.y);
  rows.scratch = static_cast<float*>(scratch);
  LONGSTRIDE_CHOOSE(kFewRowsKernel).run(rows);
}

}  // namespace longstride::cpu
