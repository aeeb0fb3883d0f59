// Elements [first, last) of the passes over parameters.

static void adamw_elements(const AdamW& op, std::int64_t first, std::int64_t last) {
  const F scale = broadcast(op.gradient_scale), beta1 = broadcast(op.beta1), beta2 = broadcast(op.beta2);
  const F rest1 = broadcast(1 - op.beta1), rest2 = broadcast(1 - op.beta2);
  const F correction1 = broadcast(op.correction1), correction2 = broadcast(op.correction2);
  const F rate = broadcast(op.rate), epsilon = broadcast(op.epsilon), decay = broadcast(op.decay);
  const F kept = broadcast(op.ema_decay), fresh = broadcast(1 - op.ema_decay);
  for (std::int64_t e = first; e < last; e += kLanes) {
    const int left = last - e < kLanes ? static_cast<int>(last - e) : kLanes;
    const F g = mul(scale, load_partial(op.dw + e, left));
    const F m = fma(beta1, load_partial(op.m + e, left), mul(rest1, g));
    const F v = fma(beta2, load_partial(op.v + e, left), mul(rest2, mul(g, g)));
    const F step = div(div(m, correction1), add(sqrt(div(v, correction2)), epsilon));
    const F w = load_partial(op.w + e, left);
    const F moved = sub(w, mul(rate, fma(decay, w, step)));
    store_partial(op.m + e, m, left);
    store_partial(op.v + e, v, left);
    store_partial(op.w + e, moved, left);
    if (op.ema != nullptr) store_partial(op.ema + e, fma(kept, load_partial(op.ema + e, left), mul(fresh, moved)), left);
    if (op.copy != nullptr) store_bf16_partial(op.copy + e, moved, left);
  }
}

static void bf16_elements(const float* x, std::uint16_t* y, std::int64_t first, std::int64_t last) {
  for (std::int64_t e = first; e < last; e += kLanes) {
    const int left = last - e < kLanes ? static_cast<int>(last - e) : kLanes;
    store_bf16_partial(y + e, load_partial(x + e, left), left);
  }
}

static const OptimizerKernels kOptimizerKernels = {adamw_elements, bf16_elements};
