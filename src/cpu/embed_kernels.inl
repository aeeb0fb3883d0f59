// These kernels convolve token embeddings; each is compiled once an instruction set.
#include "cpu/typed.inl"

static void add_taps(const EmbedTaps& at, float* out) {
  for (std::int64_t c = 0; c < at.columns; c += kLanes) {
    const int lanes = lanes_left(c, at.columns);
    F sum = load_up_to(out, c, lanes, false);
    for (std::int64_t k = 1; k <= at.taps; ++k) {
      if (at.tokens[-k] < 0) continue;
      const F kernel = load_up_to(at.kernel + (k - 1) * at.stride, c, lanes, false);
      sum = fma(kernel, load_up_to(at.token + at.tokens[-k] * at.stride, c, lanes, false), sum);
    }
    store_up_to(out, c, sum, lanes, false);
  }
}

static void add_taps_backward(const EmbedTaps& at, const float* dout, float* dkernel, float* dtoken) {
  for (std::int64_t c = 0; c < at.columns; c += kLanes) {
    const int lanes = lanes_left(c, at.columns);
    const F d = load_up_to(dout, c, lanes, false);
    for (std::int64_t k = 1; k <= at.taps; ++k) {
      if (at.tokens[-k] < 0) continue;
      const std::int64_t of_kernel = (k - 1) * at.stride, of_token = at.tokens[-k] * at.stride;
      const F kernel = load_up_to(at.kernel + of_kernel, c, lanes, false);
      const F token = load_up_to(at.token + of_token, c, lanes, false);
      store_up_to(dkernel + of_kernel, c, fma(d, token, load_up_to(dkernel + of_kernel, c, lanes, false)), lanes,
                  false);
      store_up_to(dtoken + of_token, c, fma(d, kernel, load_up_to(dtoken + of_token, c, lanes, false)), lanes, false);
    }
  }
}

static const EmbedKernels kEmbedKernels = {add_taps, add_taps_backward};
