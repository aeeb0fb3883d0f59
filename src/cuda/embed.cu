// The embedding of tokens, positions and hashes, and its gradient: whoever owns rows of a table looks through all rows of
// the gradient in ascending order and adds those that are its own. Nothing is added by two at a time.
#include <algorithm>

#include "cuda/column_sums.h"
#include "cuda/launch.h"
#include "cuda/operations.h"

namespace longstride::cuda {

namespace {

// What of Embed kernels read: tokens and positions of rows.
struct TokenRows {
  const std::int32_t* tokens;
  std::int64_t T, tokens_stride, history;
  const std::int64_t* at;  // none: rows stand at their places

  LONGSTRIDE_DEVICE const std::int32_t* before(std::int64_t r) const { return tokens + r / T * tokens_stride + r % T; }
  LONGSTRIDE_DEVICE std::int64_t position(std::int64_t r) const { return at != nullptr ? at[r] : r % T; }
  // The token k places before row r's; < 0 where there is none.
  LONGSTRIDE_DEVICE std::int32_t tap(std::int64_t r, std::int64_t k) const {
    return k <= r % T + history ? before(r)[-k] : -1;
  }
};
TokenRows token_rows(const Embed& op) {
  return {op.tokens.data, op.T, op.tokens_stride == 0 ? op.T : op.tokens_stride, op.history, op.at.data};
}

struct PositionTable {
  const float* table;
  std::int64_t extent, divisor;

  LONGSTRIDE_DEVICE std::int64_t index(std::int64_t position) const { return (position - 1) / divisor % extent; }
};

struct EmbedElement {
  TokenRows rows;
  std::int64_t N, C;
  const float *start, *token;
  int positions_count;
  PositionTable positions[kMaxPositionEmbeddings];
  int hash_count;
  const float* hash[kMaxHashEmbeddings];
  const std::int32_t* hash_rows;
  std::int64_t taps;
  const float* kernel;
  Rows<float> out;

  LONGSTRIDE_DEVICE void operator()(std::int64_t r, std::int64_t c) const {
    const std::int64_t of = *rows.before(r);
    float sum = of < 0 ? start[c] : token[of * C + c];
    LONGSTRIDE_UNROLL
    for (int j = 0; j < kMaxPositionEmbeddings; ++j)
      if (j < positions_count && of >= 0) sum += positions[j].table[positions[j].index(rows.position(r)) * C + c];
    LONGSTRIDE_UNROLL
    for (int g = 0; g < kMaxHashEmbeddings; ++g) {
      const std::int64_t row = g < hash_count ? hash_rows[g * N + r] : -1;
      if (row >= 0) sum += hash[g][row * C + c];
    }
    for (std::int64_t k = 1; k <= taps; ++k) {
      const std::int64_t tap = rows.tap(r, k);
      if (tap >= 0) sum = fma(kernel[(k - 1) * C + c], token[tap * C + c], sum);
    }
    out.at(r, c) = sum;
  }
};

// Which row of a table row r of the gradient is added to; < 0: none.
struct OfToken {
  TokenRows rows;
  LONGSTRIDE_DEVICE std::int64_t operator()(std::int64_t r) const { return *rows.before(r); }
};
struct OfStart {
  TokenRows rows;
  LONGSTRIDE_DEVICE std::int64_t operator()(std::int64_t r) const { return *rows.before(r) < 0 ? 0 : -1; }
};
struct OfPosition {
  TokenRows rows;
  PositionTable positions;
  LONGSTRIDE_DEVICE std::int64_t operator()(std::int64_t r) const {
    return *rows.before(r) < 0 ? -1 : positions.index(rows.position(r));
  }
};
struct OfHash {
  const std::int32_t* hash_rows;
  LONGSTRIDE_DEVICE std::int64_t operator()(std::int64_t r) const { return hash_rows[r]; }
};
struct OfTap {
  TokenRows rows;
  std::int64_t k;
  LONGSTRIDE_DEVICE std::int64_t operator()(std::int64_t r) const { return rows.tap(r, k); }
};

// table[key(r)] += dout[r], times `factor` by columns where that is given. A block owns `owned` rows of the table and
// kThreads of its columns: their sums are in shared memory while it looks through the keys, kThreads at a time.
template <class KeyOf>
struct AddToTable {
  static constexpr int kThreads = 128;
  KeyOf key_of;
  std::int64_t N, C, keys;
  int owned;
  Rows<float> dout;
  const float* factor;  // (C)
  float* table;         // (keys, C)

  struct Found {
    std::int64_t row;
    int key;  // less the first that the block owns
  };
  // Found (kThreads), then how many each warp found, then sums (owned, kThreads).
  std::size_t shared_bytes() const {
    return kThreads * sizeof(Found) + kThreads / kWarp * sizeof(int) + static_cast<std::size_t>(owned) * kThreads * 4;
  }

  // The rows of [first, first + kThreads) that are added here, in ascending order. Their number. Those found before are
  // written over once all threads have come here again.
  template <class Block>
  LONGSTRIDE_DEVICE int find(Block& block, std::int64_t first, std::int64_t first_key, Found* found, int* counts) const {
    const std::int64_t r = first + block.thread();
    const std::int64_t key = r < N ? key_of(r) - first_key : -1;
    const bool mine = key >= 0 && key < owned;
    const std::uint32_t of_warp = block.ballot(mine);
    if (block.lane() == 0) counts[block.warp()] = count_bits(of_warp);
    block.sync();
    int before = count_bits(of_warp & ((1u << block.lane()) - 1)), all = 0;
    for (int w = 0; w < kThreads / kWarp; ++w) {
      if (w < block.warp()) before += counts[w];
      all += counts[w];
    }
    if (mine) found[before] = {r, static_cast<int>(key)};
    block.sync();
    return all;
  }

  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto* found = block.template shared<Found>();
    auto* counts = reinterpret_cast<int*>(found + kThreads);
    auto* sums = reinterpret_cast<float*>(counts + kThreads / kWarp) + block.thread();
    const std::int64_t first_key = std::int64_t{block.index().x} * owned;
    const std::int64_t c = std::int64_t{block.index().y} * kThreads + block.thread();
    const int here = static_cast<int>(min<std::int64_t>(owned, keys - first_key));
    for (int k = 0; k < here && c < C; ++k) sums[k * kThreads] = table[(first_key + k) * C + c];
    const float times = factor != nullptr && c < C ? factor[c] : 1;
    for (std::int64_t first = 0; first < N; first += kThreads) {
      const int count = find(block, first, first_key, found, counts);
      for (int f = 0; f < count && c < C; ++f) {
        float& sum = sums[found[f].key * kThreads];
        sum = fma(dout.at(found[f].row, c), times, sum);
      }
    }
    for (int k = 0; k < here && c < C; ++k) table[(first_key + k) * C + c] = sums[k * kThreads];
  }
};

template <class KeyOf>
void add_to_table(const Run& run, const EmbedBackward& op, const KeyOf& key_of, std::int64_t keys,
                  const Array<float>& table, const float* factor = nullptr) {
  constexpr std::int64_t kMostOwned = 32, kEnoughBlocks = 64;
  const std::int64_t owned = std::clamp<std::int64_t>(keys / kEnoughBlocks, 1, kMostOwned);
  const std::int64_t N = op.forward.B * op.forward.T, C = op.dout.cols;
  using Kernel = AddToTable<KeyOf>;
  launch(run.stream(),
         Kernel{key_of, N, C, keys, static_cast<int>(owned), rows_of<float>(op.dout), factor, table.data},
         {divide_up(keys, owned), divide_up(C, Kernel::kThreads)});
}

// dkernel[k - 1] += dout * token[y_k], columns (taps, C)
struct KernelTerm {
  TokenRows rows;
  std::int64_t C;
  Rows<float> dout;
  const float* token;

  LONGSTRIDE_DEVICE float operator()(std::int64_t r, std::int64_t column) const {
    const std::int64_t c = column % C, tap = rows.tap(r, column / C + 1);
    return tap < 0 ? 0 : dout.at(r, c) * token[tap * C + c];
  }
};

}  // namespace

void compute(const Run& run, const Embed& op) {
  const std::int64_t N = op.B * op.T, C = op.out.cols;
  EmbedElement element{};
  element.rows = token_rows(op);
  element.N = N, element.C = C;
  element.start = op.start.data, element.token = op.token.data;
  for (const Embed::Positions& positions : op.positions)
    element.positions[element.positions_count++] = {positions.table.data, positions.extent, positions.divisor};
  for (const Array<float>& table : op.hash) element.hash[element.hash_count++] = table.data;
  element.hash_rows = op.hash_rows.data;
  element.taps = op.taps, element.kernel = op.kernel.data;
  element.out = rows_of<float>(op.out);
  launch_each(run.stream(), N, C, element);
}

std::int64_t scratch_bytes(const EmbedBackward& op) {
  const Embed& forward = op.forward;
  return forward.taps > 0 ? column_sums_bytes(forward.B * forward.T, forward.taps * op.dout.cols) : 0;
}

void compute(const Run& run, const EmbedBackward& op) {
  const Embed& forward = op.forward;
  const std::int64_t N = forward.B * forward.T, C = op.dout.cols;
  const TokenRows rows = token_rows(forward);
  add_to_table(run, op, OfStart{rows}, 1, op.dstart);
  add_to_table(run, op, OfToken{rows}, forward.V, op.dtoken);
  for (std::size_t j = 0; j < op.dposition.size(); ++j) {
    const Embed::Positions& positions = forward.positions[j];
    add_to_table(run, op, OfPosition{rows, {nullptr, positions.extent, positions.divisor}}, positions.extent,
                 op.dposition[j]);
  }
  for (std::size_t g = 0; g < op.dhash.size(); ++g)
    add_to_table(run, op, OfHash{forward.hash_rows.data + static_cast<std::int64_t>(g) * N}, forward.buckets, op.dhash[g]);
  if (forward.taps == 0) return;
  for (std::int64_t k = 1; k <= forward.taps; ++k)
    add_to_table(run, op, OfTap{rows, k}, forward.V, op.dtoken, forward.kernel.data + (k - 1) * C);
  add_column_sums(run.stream(), N, forward.taps * C, KernelTerm{rows, C, rows_of<float>(op.dout), forward.token.data},
                  {op.dkernel.data, op.dkernel.count, nullptr}, run.scratch);
}

}  // namespace longstride::cuda
