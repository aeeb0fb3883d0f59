// These kernels pass over a chunk of parameters; each is compiled once an instruction set.
#include "cpu/typed.inl"

//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2, g = gradient_scale * dw
//   w -= rate * (m / correction1 / (sqrt(v / correction2) + epsilon) + decay * w)
//   ema = ema_decay * ema + (1 - ema_decay) * w
static void adamw(const AdamWStep& op, std::int64_t begin, std::int64_t count) {
  const F beta1 = broadcast(op.beta1), rest1 = broadcast(1 - op.beta1);
  const F beta2 = broadcast(op.beta2), rest2 = broadcast(1 - op.beta2);
  const F ema_decay = broadcast(op.ema_decay), ema_rest = broadcast(1 - op.ema_decay);
  for (std::int64_t i = begin; i < begin + count; i += kLanes) {
    const int lanes = lanes_left(i, begin + count);
    const F g = mul(load_up_to(op.dw, i, lanes, false), broadcast(op.gradient_scale));
    const F m = fma(beta1, load_up_to(op.m, i, lanes, false), mul(rest1, g));
    const F v = fma(beta2, load_up_to(op.v, i, lanes, false), mul(rest2, mul(g, g)));
    F w = load_up_to(op.w, i, lanes, false);
    const F root = add(sqrt(div(v, broadcast(op.correction2))), broadcast(op.epsilon));
    const F step = fma(broadcast(op.decay), w, div(div(m, broadcast(op.correction1)), root));
    w = sub(w, mul(broadcast(op.rate), step));
    store_up_to(op.w, i, w, lanes, false);
    store_up_to(op.m, i, m, lanes, false);
    store_up_to(op.v, i, v, lanes, false);
    if (op.ema != nullptr)
      store_up_to(op.ema, i, fma(ema_decay, load_up_to(op.ema, i, lanes, false), mul(ema_rest, w)), lanes, false);
    if (op.copy != nullptr) store_up_to(op.copy, i, w, lanes, true);
  }
}

// Sixteen sums, element i in sum i mod 16, added in ascending order at the end: the same on every instruction set.
static double sum_squares(const float* x, std::int64_t count) {
  constexpr int kSums = 16;
  double sums[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int l = 0; l < kSums; ++l) sums[l] += static_cast<double>(x[i + l]) * x[i + l];
  }
  for (int l = 0; i + l < count; ++l) sums[l] += static_cast<double>(x[i + l]) * x[i + l];
  double total = 0;
  for (int l = 0; l < kSums; ++l) total += sums[l];
  return total;
}

static void to_bfloat16(const float* x, std::uint16_t* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const int lanes = lanes_left(i, count);
    store_up_to(y, i, load_up_to(x, i, lanes, false), lanes, true);
  }
}

static const OptimizerKernels kOptimizerKernels = {adamw, sum_squares, to_bfloat16};
