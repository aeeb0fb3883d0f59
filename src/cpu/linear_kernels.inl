// These kernels do what products need before and after oneDNN; each is compiled once an instruction set.
#include "cpu/typed.inl"

LONGSTRIDE_INLINE F sigmoid(F x) {
  return div(broadcast(1), add(broadcast(1), exp(sub(zero(), x))));
}

LONGSTRIDE_INLINE void activate_row(const void* pre, bool pre_bf16, void* y, bool y_bf16, std::int64_t count) {
  for (std::int64_t c = 0; c < count; c += kLanes) {
    const int lanes = lanes_left(c, count);
    const F x = load_up_to(pre, c, lanes, pre_bf16);
    store_up_to(y, c, mul(x, sigmoid(mul(x, broadcast(1.702f)))), lanes, y_bf16);
  }
}
static void activate(const void* pre, bool pre_bf16, void* y, bool y_bf16, std::int64_t count) {
  if (pre_bf16 && y_bf16) activate_row(pre, true, y, true, count);
  if (pre_bf16 && !y_bf16) activate_row(pre, true, y, false, count);
  if (!pre_bf16 && y_bf16) activate_row(pre, false, y, true, count);
  if (!pre_bf16 && !y_bf16) activate_row(pre, false, y, false, count);
}

// f'(x) = s (1 + 1.702 x (1 - s)), s = sigmoid(1.702 x)
LONGSTRIDE_INLINE void activate_backward_row(const void* pre, void* dx, bool bf16, std::int64_t count) {
  for (std::int64_t c = 0; c < count; c += kLanes) {
    const int lanes = lanes_left(c, count);
    const F t = mul(load_up_to(pre, c, lanes, bf16), broadcast(1.702f));
    const F s = sigmoid(t);
    const F slope = mul(s, fma(t, sub(broadcast(1), s), broadcast(1)));
    store_up_to(dx, c, mul(load_up_to(dx, c, lanes, bf16), slope), lanes, bf16);
  }
}
static void activate_backward(const void* pre, void* dx, bool bf16, std::int64_t count) {
  if (bf16) {
    activate_backward_row(pre, dx, true, count);
  } else {
    activate_backward_row(pre, dx, false, count);
  }
}

static void widen(const std::uint16_t* from, float* to, std::int64_t count) {
  for (std::int64_t c = 0; c < count; c += kLanes) {
    const int lanes = lanes_left(c, count);
    store_up_to(to, c, load_up_to(from, c, lanes, true), lanes, false);
  }
}
static void narrow(const float* from, std::uint16_t* to, std::int64_t count) {
  for (std::int64_t c = 0; c < count; c += kLanes) {
    const int lanes = lanes_left(c, count);
    store_up_to(to, c, load_up_to(from, c, lanes, false), lanes, true);
  }
}

LONGSTRIDE_INLINE void column_sums_of(const void* x, bool bf16, std::int64_t stride, std::int64_t rows, std::int64_t cols,
                                      float* sums) {
  std::int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    F s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t at = r * stride + c;
      s0 = add(s0, load_at(x, at, bf16));
      s1 = add(s1, load_at(x, at + kLanes, bf16));
      s2 = add(s2, load_at(x, at + 2 * kLanes, bf16));
      s3 = add(s3, load_at(x, at + 3 * kLanes, bf16));
    }
    store(sums + c, add(load(sums + c), s0));
    store(sums + c + kLanes, add(load(sums + c + kLanes), s1));
    store(sums + c + 2 * kLanes, add(load(sums + c + 2 * kLanes), s2));
    store(sums + c + 3 * kLanes, add(load(sums + c + 3 * kLanes), s3));
  }
  for (; c < cols; c += kLanes) {
    const int lanes = lanes_left(c, cols);
    F s = zero();
    for (std::int64_t r = 0; r < rows; ++r) s = add(s, load_up_to(x, r * stride + c, lanes, bf16));
    store_up_to(sums, c, add(load_up_to(sums, c, lanes, false), s), lanes, false);
  }
}
static void column_sums(const void* x, bool bf16, std::int64_t stride, std::int64_t rows, std::int64_t cols, float* sums) {
  if (bf16) {
    column_sums_of(x, true, stride, rows, cols, sums);
  } else {
    column_sums_of(x, false, stride, rows, cols, sums);
  }
}

static void softmax(const float* logits, float* exps, std::int64_t V, float* largest, float* sum_of_exps) {
  F most = broadcast(logits[0]);
  for (std::int64_t c = 0; c < V; c += kLanes) {
    const int lanes = lanes_left(c, V);
    const F x = load_up_to(logits, c, lanes, false);
    // Lanes past the end read as 0, which could exceed every logit: they keep what they have.
    most = select((1u << lanes) - 1u, max(most, x), most);
  }
  *largest = max_of(most);
  const F shift = broadcast(*largest);
  F total = zero();
  for (std::int64_t c = 0; c < V; c += kLanes) {
    const int lanes = lanes_left(c, V);
    const F e = exp(sub(load_up_to(logits, c, lanes, false), shift));
    total = add(total, select((1u << lanes) - 1u, e, zero()));
    store_up_to(exps, c, e, lanes, false);
  }
  *sum_of_exps = sum(total);
}

LONGSTRIDE_INLINE void scale_row(const float* x, float factor, void* y, bool bf16, std::int64_t count) {
  for (std::int64_t c = 0; c < count; c += kLanes) {
    const int lanes = lanes_left(c, count);
    store_up_to(y, c, mul(load_up_to(x, c, lanes, false), broadcast(factor)), lanes, bf16);
  }
}
static void scale(const float* x, float factor, void* y, bool bf16, std::int64_t count) {
  if (bf16) {
    scale_row(x, factor, y, true, count);
  } else {
    scale_row(x, factor, y, false, count);
  }
}

static const LinearKernels kLinearKernels = {kLanes, kNativeBf16, activate, activate_backward, widen,
                                             narrow, column_sums, softmax, scale};
