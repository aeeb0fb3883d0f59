// This runs the layer norm's kernels over rows, and adds up the gradients of weight and bias in a fixed order.
#include "cpu/norm.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "cpu/norm_kernels.h"
#include "cpu/threads.h"
#include "ops/philox.h"

namespace longstride::cpu {

namespace {

// Rows whose dweight and dbias are summed before the chunks are, in ascending order: fixed by N, so that sums do not
// depend on threads; at most 256 chunks, so that their sums take little memory.
std::int64_t chunk_rows(std::int64_t N) { return std::max<std::int64_t>(128, (N + 255) / 256); }

DropoutWords words_of(const Dropout& dropout, const StepInputs& inputs) {
  DropoutWords words;
  const PhiloxKey key = philox_key(dropout.seed, Purpose::dropout);
  words.site = static_cast<std::uint32_t>(dropout.site);
  words.layer = static_cast<std::uint32_t>(dropout.layer);
  words.step = static_cast<std::uint32_t>(inputs.dropout_step);
  words.key[0] = key[0];
  words.key[1] = key[1];
  // Exact: of a word's upper 24 bits u, u / 2^24 >= rate is u >= ceil(rate * 2^24); then its lower 8 do not matter.
  words.least = static_cast<std::uint32_t>(std::ceil(static_cast<double>(dropout.rate) * 0x1p24)) << 8;
  return words;
}

// Dropout's mask of one row, a place for it a thread.
class Masks {
 public:
  Masks(std::int64_t C, Workspace& workspace)
      : C_(C), bytes_(bytes_of(C)), memory_(static_cast<char*>(workspace.take(threads() * bytes_))) {}

  static std::int64_t bytes_of(std::int64_t C) { return Workspace::rounded(dropout_mask_words(C) * 4); }

  const std::uint32_t* row(const DropoutWords& words, std::int64_t r) const {
    auto* kept = reinterpret_cast<std::uint32_t*>(memory_ + omp_get_thread_num() * bytes_);
    norm_kernels().dropout_mask(words, r * C_, C_, kept);
    return kept;
  }

 private:
  std::int64_t C_, bytes_;
  char* memory_;
};

float* row(const Matrix& m, std::int64_t r) { return m ? m.f32() + r * m.stride : nullptr; }
void* typed_row(const Matrix& m, std::int64_t r) { return m ? m.rows_from(r, 1).data : nullptr; }

NormRow row_of(const ResidualNorm& op, std::int64_t r) {
  NormRow at;
  at.h_in = row(op.h_in, r);
  at.branch = typed_row(op.branch, r);
  at.h_out = row(op.h_out, r);
  at.weight = op.weight.data;
  at.bias = op.bias.data;
  at.y = typed_row(op.y, r);
  at.bf16 = op.y.type == DType::bfloat16;
  at.eps = op.eps;
  at.C = op.h_in.cols;
  return at;
}

}  // namespace

std::int64_t residual_norm_workspace_bytes(std::int64_t C) { return threads() * Masks::bytes_of(C); }

void residual_norm(const ResidualNorm& op, const StepInputs& inputs, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t N = op.h_in.rows, C = op.h_in.cols;
  const bool drops = op.branch && op.dropout.rate > 0;
  const DropoutWords words = words_of(op.dropout, inputs);
  const Masks masks(C, workspace);
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t r = 0; r < N; ++r) {
    NormRow at = row_of(op, r);
    at.scale = 1 / (1 - op.dropout.rate);
    if (drops) at.kept = masks.row(words, op.dropout.first_row + r);
    norm_kernels().norm(at, op.mean.data + r, op.rstd.data + r);
  }
}

void residual_norm_row(const ResidualNorm& op, std::int64_t r) {
  norm_kernels().norm(row_of(op, r), op.mean.data + r, op.rstd.data + r);
}

std::int64_t residual_norm_backward_workspace_bytes(const ResidualNormBackward& op) {
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  const std::int64_t chunks = (N + chunk_rows(N) - 1) / chunk_rows(N);
  return residual_norm_workspace_bytes(C) + chunks * Workspace::rounded(2 * C * 4);
}

void residual_norm_backward(const ResidualNormBackward& op, const StepInputs& inputs, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const std::int64_t N = op.dy.rows, C = op.dy.cols;
  const bool drops = op.dbranch && op.dropout.rate > 0;
  const DropoutWords words = words_of(op.dropout, inputs);
  const Masks masks(C, workspace);
  const std::int64_t per_chunk = chunk_rows(N), chunks = (N + per_chunk - 1) / per_chunk;
  const std::int64_t sums_stride = Workspace::rounded(2 * C * 4) / 4;
  float* sums = workspace.floats(chunks * sums_stride);  // of each chunk: dweight (C), dbias (C)
#pragma omp parallel for schedule(static) num_threads(team())
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    NormBackwardRow at;
    at.weight = op.weight.data;
    at.dweight = sums + chunk * sums_stride;
    at.dbias = at.dweight + C;
    std::fill_n(at.dweight, 2 * C, 0.0f);
    at.bf16 = op.dy.type == DType::bfloat16;
    at.C = C;
    at.scale = 1 / (1 - op.dropout.rate);
    for (std::int64_t r = chunk * per_chunk; r < std::min(N, (chunk + 1) * per_chunk); ++r) {
      at.dy = typed_row(op.dy, r);
      at.h = row(op.h, r);
      at.dh_out = row(op.dh_out, r);
      at.dh = row(op.dh, r);
      at.dbranch = typed_row(op.dbranch, r);
      at.mean = op.mean[r];
      at.rstd = op.rstd[r];
      if (drops) at.kept = masks.row(words, op.dropout.first_row + r);
      norm_kernels().norm_backward(at);
    }
  }
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const float* of_chunk = sums + chunk * sums_stride;
    for (std::int64_t c = 0; c < C; ++c) op.dweight[c] += of_chunk[c];
    for (std::int64_t c = 0; c < C; ++c) op.dbias[c] += of_chunk[C + c];
  }
}

}  // namespace longstride::cpu
