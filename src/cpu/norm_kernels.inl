#include "cpu/typed.inl"

// h of one vector of the row, the branch added.
LONGSTRIDE_INLINE F residual(const NormRow& row, std::int64_t c, int lanes, bool bf16) {
  F h = load_up_to(row.h_in, c, lanes, false);
  if (row.branch == nullptr) return h;
  const F b = load_up_to(row.branch, c, lanes, bf16);
  return row.scales == nullptr ? add(h, b) : add(h, mul(b, load_up_to(row.scales, c, lanes, false)));
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
    if (row.scales != nullptr) dh = mul(dh, load_up_to(row.scales, c, lanes, false));
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

// Philox4x32-10 of kBlocks neighbouring counters at once (ops/philox.h), written so that compilers make vectors of it.
static void dropout_scales(const DropoutWords& words, std::int64_t first, std::int64_t count, float* scales) {
  constexpr int kBlocks = 16;
  std::int64_t done = 0;
  for (std::int64_t block = first / 4; done < count; block += kBlocks) {
    std::uint32_t x0[kBlocks], x1[kBlocks], x2[kBlocks], x3[kBlocks];
    for (int i = 0; i < kBlocks; ++i) {
      x0[i] = static_cast<std::uint32_t>(block + i);
      x1[i] = words.site;
      x2[i] = words.layer;
      x3[i] = words.step;
    }
    std::uint32_t key0 = words.key[0], key1 = words.key[1];
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < kBlocks; ++i) {
        const std::uint64_t a = std::uint64_t{0xD2511F53u} * x0[i];
        const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * x2[i];
        x0[i] = static_cast<std::uint32_t>(b >> 32) ^ x1[i] ^ key0;
        x1[i] = static_cast<std::uint32_t>(b);
        x2[i] = static_cast<std::uint32_t>(a >> 32) ^ x3[i] ^ key1;
        x3[i] = static_cast<std::uint32_t>(a);
      }
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    float kept[4 * kBlocks];
    for (int i = 0; i < kBlocks; ++i) {
      kept[4 * i] = (x0[i] >> 8) >= words.least ? words.scale : 0;
      kept[4 * i + 1] = (x1[i] >> 8) >= words.least ? words.scale : 0;
      kept[4 * i + 2] = (x2[i] >> 8) >= words.least ? words.scale : 0;
      kept[4 * i + 3] = (x3[i] >> 8) >= words.least ? words.scale : 0;
    }
    const std::int64_t skip = done == 0 ? first % 4 : 0;
    const std::int64_t here = count - done < 4 * kBlocks - skip ? count - done : 4 * kBlocks - skip;
    std::memcpy(scales + done, kept + skip, static_cast<std::size_t>(here) * sizeof(float));
    done += here;
  }
}

static const NormKernels kNormKernels = {norm, norm_backward, dropout_scales};
