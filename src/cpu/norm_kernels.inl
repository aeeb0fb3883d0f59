// These kernels normalise one row, and pass one row's gradient; each is compiled once an instruction set.
#include "cpu/typed.inl"

// What dropout multiplies one vector of the row by.
LONGSTRIDE_INLINE F dropout_factor(const std::uint32_t* kept, std::int64_t c, float scale) {
  return select(kept[c / 32] >> (c % 32), broadcast(scale), zero());
}

// h of one vector of the row, the branch added.
LONGSTRIDE_INLINE F residual(const NormRow& row, std::int64_t c, int lanes, bool bf16) {
  F h = load_up_to(row.h_in, c, lanes, false);
  if (row.branch == nullptr) return h;
  const F b = load_up_to(row.branch, c, lanes, bf16);
  return row.kept == nullptr ? add(h, b) : add(h, mul(b, dropout_factor(row.kept, c, row.scale)));
}

LONGSTRIDE_INLINE void norm_row(const NormRow& row, bool bf16, float* mean_out, float* rstd_out) {
  const std::int64_t C = row.C;
  const float* h = row.h_out != nullptr ? row.h_out : row.h_in;
  F total = zero();
  for (std::int64_t c = 0; c < C; c += kLanes) {
    const int lanes = lanes_left(c, C);
    const F x = residual(row, c, lanes, bf16);
    if (row.h_out != nullptr) store_up_to(row.h_out, c, x, lanes, false);
    total = add(total, x);  // lanes past the end are 0
  }
  const float mean = sum(total) / static_cast<float>(C);
  const F shift = broadcast(mean);
  F squares = zero();
  for (std::int64_t c = 0; c < C; c += kLanes) {
    const int lanes = lanes_left(c, C);
    const F x = select((1u << lanes) - 1u, sub(load_up_to(h, c, lanes, false), shift), zero());
    squares = fma(x, x, squares);
  }
  const float rstd = 1 / std::sqrt(sum(squares) / static_cast<float>(C) + row.eps);
  const F factor = broadcast(rstd);
  for (std::int64_t c = 0; c < C; c += kLanes) {
    const int lanes = lanes_left(c, C);
    const F xhat = mul(sub(load_up_to(h, c, lanes, false), shift), factor);
    const F y = fma(xhat, load_up_to(row.weight, c, lanes, false), load_up_to(row.bias, c, lanes, false));
    store_up_to(row.y, c, y, lanes, bf16);
  }
  *mean_out = mean;
  *rstd_out = rstd;
}
static void norm(const NormRow& row, float* mean, float* rstd) {
  if (row.bf16) {
    norm_row(row, true, mean, rstd);
  } else {
    norm_row(row, false, mean, rstd);
  }
}

// With xhat = (h - mean) * rstd, g = dy * weight, and mean_c the mean over channels:
//   dh = dh_out + rstd * (g - mean_c(g) - xhat * mean_c(g * xhat));  dweight += dy * xhat;  dbias += dy
LONGSTRIDE_INLINE void norm_backward_row(const NormBackwardRow& row, bool bf16) {
  const std::int64_t C = row.C;
  const F mean = broadcast(row.mean), rstd = broadcast(row.rstd);
  F g_sum = zero(), gx_sum = zero();
  for (std::int64_t c = 0; c < C; c += kLanes) {
    const int lanes = lanes_left(c, C);
    const F dy = load_up_to(row.dy, c, lanes, bf16);
    const F xhat = mul(sub(load_up_to(row.h, c, lanes, false), mean), rstd);
    // Lanes past the end have g = 0, and xhat finite where the statistics are.
    const F g = mul(dy, load_up_to(row.weight, c, lanes, false));
    g_sum = add(g_sum, g);
    gx_sum = fma(g, xhat, gx_sum);
    store_up_to(row.dweight, c, fma(dy, xhat, load_up_to(row.dweight, c, lanes, false)), lanes, false);
    store_up_to(row.dbias, c, add(dy, load_up_to(row.dbias, c, lanes, false)), lanes, false);
  }
  const F g_mean = broadcast(sum(g_sum) / static_cast<float>(C));
  const F gx_mean = broadcast(sum(gx_sum) / static_cast<float>(C));
  for (std::int64_t c = 0; c < C; c += kLanes) {
    const int lanes = lanes_left(c, C);
    const F g = mul(load_up_to(row.dy, c, lanes, bf16), load_up_to(row.weight, c, lanes, false));
    const F xhat = mul(sub(load_up_to(row.h, c, lanes, false), mean), rstd);
    F dh = mul(rstd, sub(sub(g, g_mean), mul(xhat, gx_mean)));
    if (row.dh_out != nullptr) dh = add(load_up_to(row.dh_out, c, lanes, false), dh);
    store_up_to(row.dh, c, dh, lanes, false);
    if (row.dbranch == nullptr) continue;
    if (row.kept != nullptr) dh = mul(dh, dropout_factor(row.kept, c, row.scale));
    store_up_to(row.dbranch, c, dh, lanes, bf16);
  }
}
static void norm_backward(const NormBackwardRow& row) {
  if (row.bf16) {
    norm_backward_row(row, true);
  } else {
    norm_backward_row(row, false);
  }
}

// Ten rounds of Philox4x32 (ops/philox.h) on kTogether vectors of neighbouring counters: as many as hide the latency of
// the products. The bits of whole vectors are written, at most 127 past the last that is asked for.
static void dropout_mask(const DropoutWords& words, std::int64_t first, std::int64_t count, std::uint32_t* kept) {
  constexpr int kTogether = kWords == 1 ? 8 : 4;
  constexpr int kBits = 4 * kWords;
  const auto skip = static_cast<int>(first % 4);
  const U factor0 = word(0xD2511F53u), factor2 = word(0xCD9E8D57u);
  auto block = static_cast<std::uint32_t>(first / 4);
  std::uint32_t* next = kept;
  for (std::int64_t done = 0; done < skip + count; done += kTogether * kBits) {
    U x0[kTogether], x1[kTogether], x2[kTogether], x3[kTogether];
    for (int i = 0; i < kTogether; ++i) {
      x0[i] = words_from(block);
      x1[i] = word(words.site);
      x2[i] = word(words.layer);
      x3[i] = word(words.step);
      block += kWords;
    }
    std::uint32_t key0 = words.key[0], key1 = words.key[1];
    for (int round = 0; round < 10; ++round) {
      const U k0 = word(key0), k1 = word(key1);
      for (int i = 0; i < kTogether; ++i) {
        const U a = multiply_words(factor0, x0[i]), b = multiply_words(factor2, x2[i]);
        x0[i] = exclusive_or(upper_words(b), x1[i], k0);
        x1[i] = b;
        x2[i] = exclusive_or(upper_words(a), x3[i], k1);
        x3[i] = a;
      }
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    std::uint32_t bits = 0;  // 32 of them are written at a time
    for (int i = 0, waiting = 0; i < kTogether; ++i) {
      bits |= words_at_least(x0[i], x1[i], x2[i], x3[i], words.least) << waiting;
      waiting += kBits;
      if (waiting < 32) continue;
      *next++ = bits;
      bits = 0;
      waiting = 0;
    }
  }
  if (skip == 0) return;
  for (std::int64_t w = 0; w < (count + 31) / 32; ++w) kept[w] = kept[w] >> skip | kept[w + 1] << (32 - skip);
}

static const NormKernels kNormKernels = {norm, norm_backward, dropout_mask};
