// From an operation on heads to launches of a kernel: which kernel, and which heads at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/attention/attention.h"
#include "cuda/attention/owners.h"
#include "cuda/text.h"

namespace longstride::cuda {

// Kernels are made for heads of at most 64, 128 and 256 channels. Calls visit.operator()<A, kChannels>().
template <class Visit>
void with_kernel_for(DType type, std::int64_t channels, const Visit& visit) {
  const auto of_type = [&]<class A>() {
    if (channels <= 64)
      visit.template operator()<A, 64>();
    else if (channels <= 128)
      visit.template operator()<A, 128>();
    else
      visit.template operator()<A, 256>();
  };
  static_assert(kMaxHeadChannels == 256);
  if (type == DType::float32)
    of_type.template operator()<float>();
  else
    of_type.template operator()<bf16>();
}

// Calls launch(heads, blocks) for heads at a time, where blocks is the most that count(walks) says of one of them;
// heads of no blocks are left out.
template <class Count, class Launch>
void each_launch(const HeadWalks& all, const Count& count, const Launch& launch) {
  LaunchHeads heads;
  std::vector<int> place(all.walks.size(), -1);  // of a Walks in this launch
  int walks = 0;
  std::int64_t blocks = 0;
  const auto send = [&] {
    if (heads.heads > 0) launch(heads, blocks);
    heads.heads = walks = 0;
    blocks = 0;
    place.assign(place.size(), -1);
  };
  for (std::size_t h = 0; h < all.of_head.size(); ++h) {
    const int which = all.of_head[h];
    const std::int64_t of_head = count(all.walks[static_cast<std::size_t>(which)]);
    if (of_head == 0) continue;
    const bool is_new = place[static_cast<std::size_t>(which)] < 0;
    if (heads.heads == LaunchHeads::kMostHeads || (is_new && walks == LaunchHeads::kMostWalks)) send();
    int& at = place[static_cast<std::size_t>(which)];
    if (at < 0) {
      at = walks;
      heads.walks[walks++] = all.walks[static_cast<std::size_t>(which)];
    }
    heads.head[heads.heads] = static_cast<std::int16_t>(h);
    heads.walk[heads.heads++] = static_cast<std::uint8_t>(at);
    blocks = blocks < of_head ? of_head : blocks;
  }
  send();
}

// Where partial sums of a result lie: in `memory`, (B, H, T, D) with H before T, or in the result itself, where it is
// float32.
inline HeadsView<float> partial_sums(const Heads& x, float* memory) {
  return x.type == DType::float32 ? HeadsView<float>(x) : HeadsView<float>(memory, x.T, x.H, x.D);
}
inline std::int64_t partial_sums_bytes(const Heads& x, int additions) {
  const bool apart = additions > 1 && x.type != DType::float32;
  return apart ? x.B * x.T * x.H * x.D * static_cast<std::int64_t>(sizeof(float)) : 0;
}

}  // namespace longstride::cuda
