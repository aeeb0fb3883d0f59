// Rows [first, last) of the two norms. A row's sums are taken in an order that depends on C and the lanes alone.

// Factors of dropout for elements [begin, begin + count) of the flattened (N, C) branch: 0 or 1 / (1 - rate).
// count <= kDropoutChunk. Philox blocks of four elements may begin before `begin` and end beyond the last.
constexpr int kDropoutChunk = 256;
static inline void dropout_factors(const Dropout& op, std::int64_t begin, int count, float* factors) {
  constexpr int kBlocks = kDropoutChunk / 4 + 1;
  const PhiloxKey key = philox_key(op.seed, Purpose::dropout);
  const std::int64_t block = begin / 4;
  const int skipped = static_cast<int>(begin % 4);
  std::uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  for (int b = 0; b < kBlocks; ++b) {
    c0[b] = static_cast<std::uint32_t>(block + b);
    c1[b] = static_cast<std::uint32_t>(op.site);
    c2[b] = static_cast<std::uint32_t>(op.layer);
    c3[b] = static_cast<std::uint32_t>(op.step);
  }
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    for (int b = 0; b < kBlocks; ++b) {
      const std::uint64_t p = std::uint64_t{0xD2511F53u} * c0[b], q = std::uint64_t{0xCD9E8D57u} * c2[b];
      c0[b] = static_cast<std::uint32_t>(q >> 32) ^ c1[b] ^ k0;
      c1[b] = static_cast<std::uint32_t>(q);
      c2[b] = static_cast<std::uint32_t>(p >> 32) ^ c3[b] ^ k1;
      c3[b] = static_cast<std::uint32_t>(p);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  std::uint32_t words[4 * kBlocks];
  for (int b = 0; b < kBlocks; ++b) {
    words[4 * b] = c0[b];
    words[4 * b + 1] = c1[b];
    words[4 * b + 2] = c2[b];
    words[4 * b + 3] = c3[b];
  }
  const float kept = 1 / (1 - op.rate);
  for (int e = 0; e < count; ++e) {
    const float uniform = static_cast<float>(static_cast<std::int32_t>(words[skipped + e] >> 8)) * 0x1p-24f;
    factors[e] = uniform >= op.rate ? kept : 0.0f;
  }
}

LONGSTRIDE_INLINE F load_activation(const Matrix& m, std::int64_t at, int count) {
  if (m.type == DType::float32) return load_partial(static_cast<const float*>(m.data) + at, count);
  return load_bf16_partial(static_cast<const std::uint16_t*>(m.data) + at, count);
}
LONGSTRIDE_INLINE void store_activation(const Matrix& m, std::int64_t at, F x, int count) {
  if (m.type == DType::float32) {
    store_partial(static_cast<float*>(m.data) + at, x, count);
  } else {
    store_bf16_partial(static_cast<std::uint16_t*>(m.data) + at, x, count);
  }
}

// out[c] = in[c] (+ factor * branch[c]) for one row; with a dropout rate the factors are made as the row is walked.
static void add_branch(const ResidualNorm& op, std::int64_t row, const float* in, float* out, int C) {
  float factors[kDropoutChunk];
  for (int begin = 0; begin < C; begin += kDropoutChunk) {
    const int count = C - begin < kDropoutChunk ? C - begin : kDropoutChunk;
    if (op.dropout.rate > 0) dropout_factors(op.dropout, row * C + begin, count, factors);
    for (int c = 0; c < count; c += kLanes) {
      const int left = count - c;
      F branch = load_activation(op.branch, row * op.branch.stride + begin + c, left);
      if (op.dropout.rate > 0) branch = mul(load_partial(factors + c, left), branch);
      store_partial(out + begin + c, add(load_partial(in + begin + c, left), branch), left);
    }
  }
}

static void residual_norm_rows(const ResidualNorm& op, std::int64_t first, std::int64_t last) {
  const int C = static_cast<int>(op.y.cols);
  for (std::int64_t row = first; row < last; ++row) {
    const float* h = static_cast<const float*>(op.h_in.data) + row * op.h_in.stride;
    if (op.branch.data != nullptr) {
      float* out = static_cast<float*>(op.h_out.data) + row * op.h_out.stride;
      add_branch(op, row, h, out, C);
      h = out;
    } else if (op.h_out.data != nullptr && op.h_out.data != op.h_in.data) {
      float* out = static_cast<float*>(op.h_out.data) + row * op.h_out.stride;
      for (int c = 0; c < C; c += kLanes) store_partial(out + c, load_partial(h + c, C - c), C - c);
    }
    F total = zero();
    for (int c = 0; c < C; c += kLanes) total = add(total, load_partial(h + c, C - c));
    const float mean = sum(total) / static_cast<float>(C);
    F squares = zero();
    for (int c = 0; c < C; c += kLanes) {  // lanes beyond C hold 0, not the mean: they are left out
      const int left = C - c;
      const std::uint32_t inside = left >= kLanes ? ~0u : (1u << left) - 1u;
      const F centred = select(inside, sub(load_partial(h + c, left), broadcast(mean)), zero());
      squares = fma(centred, centred, squares);
    }
    const float rstd = 1 / std::sqrt(sum(squares) / static_cast<float>(C) + op.eps);
    for (int c = 0; c < C; c += kLanes) {
      const int left = C - c;
      const F xhat = mul(sub(load_partial(h + c, left), broadcast(mean)), broadcast(rstd));
      const F y = fma(xhat, load_partial(op.weight + c, left), load_partial(op.bias + c, left));
      store_activation(op.y, row * op.y.stride + c, y, left);
    }
    op.mean[row] = mean;
    op.rstd[row] = rstd;
  }
}

// dbranch = factor * dh for one row.
static void drop_branch(const ResidualNormBackward& op, std::int64_t row, const float* dh, int C) {
  float factors[kDropoutChunk];
  for (int begin = 0; begin < C; begin += kDropoutChunk) {
    const int count = C - begin < kDropoutChunk ? C - begin : kDropoutChunk;
    if (op.dropout.rate > 0) dropout_factors(op.dropout, row * C + begin, count, factors);
    for (int c = 0; c < count; c += kLanes) {
      const int left = count - c;
      F value = load_partial(dh + begin + c, left);
      if (op.dropout.rate > 0) value = mul(load_partial(factors + c, left), value);
      store_activation(op.dbranch, row * op.dbranch.stride + begin + c, value, left);
    }
  }
}

// dweight, dbias: (C) partial sums of these rows, added to.
static void residual_norm_backward_rows(const ResidualNormBackward& op, std::int64_t first, std::int64_t last,
                                        float* dweight, float* dbias) {
  const int C = static_cast<int>(op.dy.cols);
  for (std::int64_t row = first; row < last; ++row) {
    const float* h = static_cast<const float*>(op.h.data) + row * op.h.stride;
    float* dh = static_cast<float*>(op.dh.data) + row * op.dh.stride;
    const F mean = broadcast(op.mean[row]), rstd = broadcast(op.rstd[row]);
    F sum_g = zero(), sum_gx = zero();
    for (int c = 0; c < C; c += kLanes) {
      const int left = C - c;
      const F dy = load_activation(op.dy, row * op.dy.stride + c, left);
      const F xhat = mul(sub(load_partial(h + c, left), mean), rstd);
      const F g = mul(dy, load_partial(op.weight + c, left));
      sum_g = add(sum_g, g);
      sum_gx = fma(g, xhat, sum_gx);
      store_partial(dweight + c, fma(dy, xhat, load_partial(dweight + c, left)), left);
      store_partial(dbias + c, add(dy, load_partial(dbias + c, left)), left);
    }
    const F mean_g = broadcast(sum(sum_g) / static_cast<float>(C));
    const F mean_gx = broadcast(sum(sum_gx) / static_cast<float>(C));
    const float* above = op.dh_out.data == nullptr ? nullptr : static_cast<const float*>(op.dh_out.data) + row * op.dh_out.stride;
    for (int c = 0; c < C; c += kLanes) {
      const int left = C - c;
      const F dy = load_activation(op.dy, row * op.dy.stride + c, left);
      const F xhat = mul(sub(load_partial(h + c, left), mean), rstd);
      const F g = mul(dy, load_partial(op.weight + c, left));
      const F inner = sub(sub(g, mean_g), mul(xhat, mean_gx));
      const F outer = above == nullptr ? zero() : load_partial(above + c, left);
      store_partial(dh + c, fma(rstd, inner, outer), left);
    }
    if (op.dbranch.data != nullptr) drop_branch(op, row, dh, C);
  }
}

static const NormKernels kNormKernels = {residual_norm_rows, residual_norm_backward_rows};
