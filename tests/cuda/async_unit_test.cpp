// These tests hold what works beside the threads of Hopper's blocks, as the interpreter has it, to plain index
// arithmetic; and they make faults (a wait, a fence or a barrier left out, a wrong parity) and see them found.
#include "cuda/hopper/async_unit.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cuda/host/tensor_map.h"
#include "cuda/misuse.h"

namespace longstride::cuda {
namespace {

constexpr std::uint64_t kOrdersOfCopies = 20;

// Heads in memory, as (B, T, H, D) or with H before T.
struct FilledHeads {
  std::int64_t B = 2, T = 21, H = 3, D = 128;
  std::vector<std::uint16_t> memory;
  Heads heads;
  explicit FilledHeads(bool heads_first) : memory(static_cast<std::size_t>(B * T * H * D + 8)) {
    for (std::size_t e = 0; e < memory.size(); ++e) memory[e] = static_cast<std::uint16_t>(e % 30000);
    auto* const data =
        reinterpret_cast<std::uint16_t*>((reinterpret_cast<std::uintptr_t>(memory.data()) + 15) / 16 * 16);
    heads = {data, DType::bfloat16, B, T, H, D, T * H * D, heads_first ? D : H * D, heads_first ? T * D : D};
  }
};

TEST(TensorMaps, OrderDimensionsByTheirStrides) {
  for (const bool heads_first : {false, true}) {
    const FilledHeads x(heads_first);
    ASSERT_TRUE(can_map(x.heads));
    const HeadsMap map = map_of(x.heads);
    const host::MappedTensor tensor = host::mapped(map.neighbours);
    EXPECT_EQ(map.order.position, heads_first ? 1 : 2);
    EXPECT_EQ(map.order.head, heads_first ? 2 : 1);
    EXPECT_EQ(map.order.sequence, 3);
    EXPECT_EQ(tensor.box[map.order.position], kNeighbours);
    EXPECT_EQ(tensor.extents[map.order.position], 21u);
    EXPECT_EQ(tensor.strides_bytes[0], heads_first ? 256u : 256u);
    EXPECT_EQ(tensor.strides_bytes[2], 21u * 3 * 256);
  }
}

TEST(TensorMaps, AreNotMadeOfWhatTheCopyEngineDoesNotTake) {
  const FilledHeads x(false);
  const auto changed = [&](const std::function<void(Heads&)>& change) {
    Heads heads = x.heads;
    change(heads);
    return can_map(heads);
  };
  EXPECT_TRUE(changed([](Heads&) {}));
  EXPECT_FALSE(changed([](Heads& h) { h.type = DType::float32; }));
  EXPECT_TRUE(changed([](Heads& h) { h.D = 80; }));
  EXPECT_FALSE(changed([](Heads& h) { h.D = 84; }));
  EXPECT_FALSE(changed([](Heads& h) { h.row_stride += 3; }));
  EXPECT_FALSE(changed([](Heads& h) { h.head_stride += 4; }));
  EXPECT_FALSE(changed([](Heads& h) { h.batch_stride = 0; }));
  EXPECT_FALSE(changed([](Heads& h) { h.data = static_cast<char*>(h.data) + 2; }));
  EXPECT_TRUE(changed([](Heads& h) { h.B = 1, h.batch_stride = 0; }));  // of one, no stride matters
}

// One warpgroup: boxes come to a tile, and all read them. What is left out is a fault.
struct BoxesCome {
  static constexpr int kThreads = kWarpgroup;
  using Tile = SwizzledTile<16, 128>;
  HeadsMap map;
  float* out;  // (16, 128)
  int i, h, b;
  bool waits = true, shows = true;
  int parity = 0, announced = Tile::kBytes;
  std::size_t shared_bytes() const { return Tile::kBytes + sizeof(Barrier); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto unit = async_unit(block);
    auto* const memory = block.template shared<char>();
    auto& barrier = *reinterpret_cast<Barrier*>(memory + Tile::kBytes);
    if (block.thread() == 0) {
      unit.begin(barrier, 1);
      if (shows) unit.show_barriers();
    }
    block.sync();
    if (block.thread() == 0) {
      unit.arrive_for(barrier, announced);
      for (int panel = 0; panel < 2; ++panel) {
        unit.copy(map.neighbours, map.order, memory + Tile::row_offset(0, panel), barrier, panel * 64, i, h, b);
        for (int row = 8; row < 16; ++row)  // every other position
          unit.copy(map.one, map.order, memory + Tile::row_offset(row, panel), barrier, panel * 64, i + 2 * row, h, b);
      }
    }
    if (waits) unit.wait(barrier, parity);
    for (int row = 0; row < 16; ++row) {
      const auto* x = reinterpret_cast<const bf16*>(memory + Tile::offset(row, block.thread()));
      out[row * 128 + block.thread()] = to_float(*x);
    }
    if (!waits) unit.wait(barrier, 0);
  }
};

std::vector<float> boxes(BoxesCome kernel, std::uint64_t seed) {
  std::vector<float> out(16 * 128);
  kernel.out = out.data();
  host::set_seed(seed);
  host::run_blocks({}, BoxesCome::kThreads, kernel.shared_bytes(), [&](host::HostBlock& block) { kernel(block); });
  return out;
}

TEST(Copies, BringBoxesAndZerosForWhatLiesOutside) {
  for (const bool heads_first : {false, true}) {
    const FilledHeads x(heads_first);
    const BoxesCome kernel{map_of(x.heads), nullptr, 3, 2, 1};
    for (std::uint64_t seed = 1; seed <= kOrdersOfCopies; ++seed) {
      const std::vector<float> got = boxes(kernel, seed);
      for (int row = 0; row < 16; ++row)
        for (int c = 0; c < 128; ++c) {
          const int position = row < 8 ? 3 + row : 3 + 2 * row;
          const float want =
              position < x.T ? float_from_bfloat16(x.heads.bf16()[x.heads.offset(1, position, 2) + c]) : 0.0f;
          ASSERT_EQ(got[static_cast<std::size_t>(row * 128 + c)], want) << row << " " << c;
        }
    }
  }
}

TEST(Copies, ThatAreNotWaitedForAreFoundOut) {
  const FilledHeads x(false);
  BoxesCome kernel{map_of(x.heads), nullptr, 3, 2, 1};
  int found_without_wait = 0, found_with_wrong_parity = 0;
  for (std::uint64_t seed = 1; seed <= kOrdersOfCopies; ++seed) {
    kernel.waits = false;
    found_without_wait += any_nan(boxes(kernel, seed));
    kernel.waits = true, kernel.parity = 1;  // of the phase before, which is over
    const std::string error = error_of([&] { found_with_wrong_parity += any_nan(boxes(kernel, seed)); });
    if (!error.empty()) ++found_with_wrong_parity;
    kernel.parity = 0;
  }
  EXPECT_GT(found_without_wait, static_cast<int>(kOrdersOfCopies / 2));
  EXPECT_EQ(found_with_wrong_parity, static_cast<int>(kOrdersOfCopies));
}

TEST(Copies, ThatAreAnnouncedWronglyAreFoundOut) {
  const FilledHeads x(false);
  BoxesCome kernel{map_of(x.heads), nullptr, 3, 2, 1};
  kernel.announced += 16;
  EXPECT_NE(error_of([&] { boxes(kernel, 1); }).find("deadlock"), std::string::npos);
  kernel.announced = BoxesCome::Tile::kBytes, kernel.shows = false;
  EXPECT_NE(error_of([&] { boxes(kernel, 1); }).find("not shown"), std::string::npos);
}

// Two warpgroups pass a tile's worth of numbers to and fro through stages, as a ring of barriers does.
struct Ring {
  static constexpr int kThreads = 2 * kWarpgroup, kStages = 3, kRounds = 10;
  float* out;  // (kRounds)
  bool frees_late = true;
  std::size_t shared_bytes() const { return kStages * (sizeof(float) * kWarpgroup + 2 * sizeof(Barrier)); }
  template <class Block>
  LONGSTRIDE_DEVICE void operator()(Block& block) const {
    auto unit = async_unit(block);
    auto* const full = block.template shared<Barrier>();
    Barrier* const empty = full + kStages;
    auto* const numbers = reinterpret_cast<float*>(empty + kStages);
    if (block.thread() == 0) {
      for (int s = 0; s < kStages; ++s) unit.begin(full[s], kWarpgroup), unit.begin(empty[s], kWarpgroup);
      unit.show_barriers();
    }
    block.sync();
    const int own = block.thread() % kWarpgroup;
    for (int round = 0; round < kRounds; ++round) {
      const int stage = round % kStages, parity = round / kStages % 2;
      float* const here = numbers + stage * kWarpgroup;
      if (block.thread() < kWarpgroup) {
        unit.wait(empty[stage], parity ^ 1);
        here[own] = static_cast<float>(round * own);
        unit.arrive(full[stage]);
      } else {
        unit.wait(full[stage], parity);
        if (!frees_late) unit.arrive(empty[stage]);
        float sum = 0;
        for (int t = 0; t < kWarpgroup; ++t) sum += here[t];
        unit.sync(1, kWarpgroup);
        if (unit.sync_or(2, kWarpgroup, sum != static_cast<float>(round * 127 * 64))) out[round] = -1;
        if (frees_late) unit.arrive(empty[stage]);
      }
    }
  }
};

TEST(Barriers, OfARingKeepWhoWritesFromWhoReads) {
  for (const bool frees_late : {true, false}) {
    int wrong = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      std::vector<float> out(Ring::kRounds);
      const Ring kernel{out.data(), frees_late};
      host::set_seed(seed);
      host::run_blocks({}, Ring::kThreads, kernel.shared_bytes(), [&](host::HostBlock& block) { kernel(block); });
      wrong += std::set<float>(out.begin(), out.end()) != std::set<float>{0};
    }
    EXPECT_EQ(wrong > 0, !frees_late);
  }
}

TEST(Registers, AreTakenOnceOthersHaveGivenThemUp) {
  const auto run = [](bool gives) {
    host::run_blocks({}, 3 * kWarpgroup, 0, [&](host::HostBlock& block) {
      auto unit = async_unit(block);
      if (block.thread() >= kWarpgroup)
        unit.take_registers<240>();
      else if (gives)
        unit.give_registers<24>();
    });
  };
  EXPECT_EQ(error_of([&] { run(true); }), "");
  EXPECT_NE(error_of([&] { run(false); }).find("deadlock"), std::string::npos);
}

}  // namespace
}  // namespace longstride::cuda
