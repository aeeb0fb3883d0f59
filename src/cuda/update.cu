// What is computed element by element, and sums over all elements (ops/update.h).
#include "cuda/launch.h"
#include "cuda/operations.h"
#include "cuda/reduce.h"

namespace longstride::cuda {

namespace {

struct SumElement {
  const float *a, *b;
  float* out;
  LONGSTRIDE_DEVICE void operator()(std::int64_t i) const { out[i] = a[i] + b[i]; }
};
struct RoundElement {
  const float* x;
  std::uint16_t* y;
  LONGSTRIDE_DEVICE void operator()(std::int64_t i) const { y[i] = bfloat16_from_float(x[i]); }
};
// As whole numbers: what is no number keeps its bits.
struct ExchangeElement {
  std::uint32_t *a, *b;
  LONGSTRIDE_DEVICE void operator()(std::int64_t i) const {
    const std::uint32_t was = a[i];
    a[i] = b[i];
    b[i] = was;
  }
};

// The sum of a chunk's squares, each thread's elements in ascending order, then in that of the block's reduction.
struct SquareSumOfChunk {
  static constexpr int kThreads = 128;
  const float* x;
  std::int64_t count;
  double* sums;

  std::size_t shared_bytes() const { return kThreads / kWarp * sizeof(double); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t chunk = block.index().x, end = min(count, (chunk + 1) * kSquareSumsChunk);
    double sum = 0;
    for (std::int64_t i = chunk * kSquareSumsChunk + block.thread(); i < end; i += kThreads)
      sum += static_cast<double>(x[i]) * x[i];
    sum = reduce_block(block, sum, block.template shared<double>(), Add());
    if (block.thread() == 0) sums[chunk] = sum;
  }
};

// The first thread's: total and then terms, added one after the other. A block of kOrdered threads fetches them together.
constexpr int kOrdered = 256;
template <class Block, class Term>
LONGSTRIDE_DEVICE double sum_in_order(Block& block, double total, std::int64_t count, const Term& term) {
  auto* terms = block.template shared<double>();
  for (std::int64_t first = 0; first < count; first += kOrdered) {
    if (first + block.thread() < count) terms[block.thread()] = term(first + block.thread());
    block.sync();
    for (std::int64_t i = 0; i < kOrdered && first + i < count && block.thread() == 0; ++i) total += terms[i];
    block.sync();  // terms are read
  }
  return total;
}

struct BitsOfLosses {
  static constexpr int kThreads = kOrdered;
  const float* losses;
  std::int64_t count;
  double* sum;

  std::size_t shared_bytes() const { return kOrdered * sizeof(double); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    constexpr double kLn2 = 0.693147180559945309417232121458;
    const double total = sum_in_order(block, *sum, count, [this](std::int64_t n) {
      return static_cast<double>(static_cast<float>(losses[n] / kLn2));
    });
    if (block.thread() == 0) *sum = total;
  }
};

// norm = sqrt(sum of squares);  scale = min(1, clip / norm)
struct NormOfSquares {
  static constexpr int kThreads = kOrdered;
  const double* squares;
  std::int64_t count;
  const double* bits;  // or none
  double clip;
  double* norm;
  float* scale;

  std::size_t shared_bytes() const { return kOrdered * sizeof(double); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const double total = sum_in_order(block, 0.0, count, [this](std::int64_t c) { return squares[c]; });
    if (block.thread() != 0) return;
    const double root = sqrt(total);
    const bool finite = is_finite(root) && (bits == nullptr || is_finite(*bits));
    *norm = root;
    *scale = !finite ? NAN : clip > 0 && root > clip ? static_cast<float>(clip / root) : 1.0f;
  }
};

// What one element does in a step, its numbers as ops/update.h names them.
struct AdamWElement {
  float *w, *m, *v;
  const float* dw;
  float* ema;           // or none
  std::uint16_t* copy;  // or none
  const float* scale;
  float beta1, beta2, epsilon, decay, ema_decay;
  const StepInputs* inputs;

  LONGSTRIDE_DEVICE void average(std::int64_t i, float x) const {
    if (ema != nullptr) ema[i] = fma(ema_decay, ema[i], (1 - ema_decay) * x);
  }
  LONGSTRIDE_DEVICE void update(std::int64_t i) const {
    const float g = dw[i] * *scale;
    const float first = fma(beta1, m[i], (1 - beta1) * g);
    const float second = fma(beta2, v[i], (1 - beta2) * (g * g));
    const float root = sqrt(second / inputs->correction2) + epsilon;
    const float step = fma(decay, w[i], first / inputs->correction1 / root);
    const float moved = w[i] - inputs->rate * step;
    w[i] = moved;
    m[i] = first;
    v[i] = second;
    average(i, moved);
    if (copy != nullptr) copy[i] = bfloat16_from_float(moved);
  }
  LONGSTRIDE_DEVICE void operator()(std::int64_t i) const {
    if (is_finite(*scale)) update(i);
  }
};

// A warp a row; one whose gradient is 0 keeps w, m and v, and its average goes on towards w.
struct AdamWRows {
  static constexpr int kRowsOfBlock = 4, kThreads = kRowsOfBlock * kWarp;
  AdamWElement element;
  std::int64_t rows, row;

  std::size_t shared_bytes() const { return 0; }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    const std::int64_t r = std::int64_t{block.index().x} * kRowsOfBlock + block.warp();
    if (r >= rows || !is_finite(*element.scale)) return;  // the whole warp
    const std::int64_t begin = r * row + block.lane(), end = (r + 1) * row;
    bool moves = false;
    for (std::int64_t i = begin; i < end; i += kWarp) moves = moves || element.dw[i] != 0;
    moves = block.ballot(moves) != 0;
    for (std::int64_t i = begin; i < end; i += kWarp) {
      if (moves)
        element.update(i);
      else
        element.average(i, element.w[i]);
    }
  }
};

}  // namespace

void compute(const Run& run, const Sum& op) {
  launch_each(run.stream(), op.out.count, SumElement{op.a.data, op.b.data, op.out.data});
}
void compute(const Run& run, const Zero& op) { run.card.zero(op.memory.data, bytes_of(op.memory)); }
void compute(const Run& run, const Round& op) {
  launch_each(run.stream(), op.x.count, RoundElement{op.x.data, op.y.data});
}
void compute(const Run& run, const Exchange& op) {
  launch_each(run.stream(), op.a.count,
              ExchangeElement{reinterpret_cast<std::uint32_t*>(op.a.data), reinterpret_cast<std::uint32_t*>(op.b.data)});
}
void compute(const Run& run, const SquareSums& op) {
  launch(run.stream(), SquareSumOfChunk{op.x.data, op.x.count, op.sums.data}, {op.sums.count});
}
void compute(const Run& run, const SumBits& op) {
  launch(run.stream(), BitsOfLosses{op.losses.data, op.losses.count, op.sum.data}, {});
}
void compute(const Run& run, const GradientNorm& op) {
  launch(run.stream(),
         NormOfSquares{op.squares.data, op.squares.count, op.bits.data, op.clip, op.norm.data, op.scale.data}, {});
}

void compute(const Run& run, const AdamW& op) {
  const AdamWElement element{op.w.data,   op.m.data, op.v.data, op.dw.data,  op.ema.data, op.copy.data,
                             op.scale.data, op.beta1,  op.beta2,  op.epsilon, op.decay,    op.ema_decay,
                             run.inputs};
  if (op.row == 0) return launch_each(run.stream(), op.w.count, element);
  const std::int64_t rows = op.w.count / op.row;
  launch(run.stream(), AdamWRows{element, rows, op.row}, {divide_up(rows, AdamWRows::kRowsOfBlock)});
}

}  // namespace longstride::cuda
