// This lets copies, products and barriers of an interpreted block happen, in an order of the seed.
#include "cuda/host/async_state.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>

#include "cuda/attention/fragments.h"
#include "cuda/hopper/operands.h"
#include "cuda/host/fibers.h"
#include "cuda/host/tensor_map.h"

namespace longstride::cuda::host {

namespace {

constexpr int kRegistersOfACard = 65536;
constexpr int kWarpsOfAGroup = 4;

[[noreturn]] void misuse(const std::string& what) { throw std::logic_error(what); }

}  // namespace

AsyncState::AsyncState(int threads, std::byte* shared, std::size_t bytes)
    : threads_(threads), shared_(shared), seen_(bytes, std::byte{0xff}) {
  warps_.assign(static_cast<std::size_t>(threads_ / kWarpLanes), {});
  asked_.assign((warps_.size() + kWarpsOfAGroup - 1) / kWarpsOfAGroup, {});
  registers_.assign(static_cast<std::size_t>(threads_), std::min(kRegistersOfACard / threads_ / 8 * 8, 255));
  free_registers_ = kRegistersOfACard - threads_ * registers_.front();
}

void AsyncState::end() const {
  if (!copies_.empty()) misuse("a block ends while copies to its shared memory are under way");
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    if (!warps_[w].open.empty() || !warps_[w].groups.empty()) misuse("a block ends while products are under way");
    if (warps_[w].products != asked_[w / kWarpsOfAGroup].size())
      misuse("a warp has not asked for all products of its warpgroup");
  }
}

std::uint32_t AsyncState::address(const void* shared) const {
  const auto at = static_cast<const std::byte*>(shared) - shared_;
  if (at < 0 || at >= static_cast<std::ptrdiff_t>(seen_.size())) misuse("an address outside shared memory");
  return static_cast<std::uint32_t>(at);
}

// Barriers.

void AsyncState::begin_barrier(const void* barrier, int arrivals) {
  if (address(barrier) % 8 != 0) misuse("a barrier is not aligned");
  if (!barriers_.insert({barrier, {arrivals, arrivals, 0, 0, false}}).second) misuse("a barrier is begun twice");
}
void AsyncState::show_barriers() {
  for (auto& [at, barrier] : barriers_) barrier.shown = true;
}
AsyncState::BarrierState& AsyncState::barrier_at(const void* barrier) {
  const auto at = barriers_.find(barrier);
  if (at == barriers_.end()) misuse("a barrier is used before it is begun");
  return at->second;
}
void AsyncState::finish_phase(BarrierState& barrier) {
  if (barrier.awaited > 0 || barrier.bytes != 0) return;
  barrier.awaited = barrier.arrivals;
  ++barrier.phase;
}
void AsyncState::arrive(const void* at, int bytes) {
  if (Fibers::random() % 4 == 0) Fibers::yield();
  BarrierState& barrier = barrier_at(at);
  if (barrier.awaited == 0) misuse("more arrivals at a barrier than its phase has");
  barrier.bytes += bytes;
  --barrier.awaited;
  finish_phase(barrier);
  if (Fibers::random() % 4 == 0) Fibers::yield();
}
void AsyncState::wait(const void* at, int parity) {
  if (Fibers::random() % 4 == 0) Fibers::yield();
  BarrierState& barrier = barrier_at(at);
  Fibers::wait_until([&] {
    if (barrier.over(parity)) return true;
    land_all_of(at);
    return barrier.over(parity);
  });
}

// Copies.

void AsyncState::show() { std::memcpy(seen_.data(), shared_, seen_.size()); }

void AsyncState::copy(const TensorMap& map, const std::array<int, 4>& coordinates, void* shared, const void* barrier) {
  if (Fibers::random() % 8 == 0) Fibers::yield();
  if (!barrier_at(barrier).shown) misuse("a copy is told of a barrier that was not shown to it");
  const MappedTensor tensor = mapped(map);
  const auto bytes = static_cast<std::size_t>(tensor.box[1] * tensor.box[2] * tensor.box[3] * kBoxRowBytes);
  const std::uint32_t to = address(shared);
  if (to % kBoxRowBytes != 0 || to + bytes > seen_.size()) misuse("a box is not aligned, or leaves shared memory");
  std::memset(shared_ + to, 0xff, bytes);
  std::memset(seen_.data() + to, 0xff, bytes);
  copies_.push_back({map, coordinates, to, barrier});
  if (Fibers::random() % 4 != 0) return;
  land(copies_.back());
  copies_.pop_back();
}

void AsyncState::land(const Copy& copy) {
  const MappedTensor tensor = mapped(copy.map);
  std::uint32_t to = copy.to;
  for (int at3 = 0; at3 < tensor.box[3]; ++at3)
    for (int at2 = 0; at2 < tensor.box[2]; ++at2)
      for (int at1 = 0; at1 < tensor.box[1]; ++at1, to += kBoxRowBytes) {
        const std::array<int, 4> place = {copy.coordinates[0], copy.coordinates[1] + at1, copy.coordinates[2] + at2,
                                          copy.coordinates[3] + at3};
        bool inside = true;
        const char* from = tensor.data + place[0] * 2;
        for (std::size_t d = 1; d < 4; ++d) {
          inside = inside && place[d] >= 0 && static_cast<std::uint64_t>(place[d]) < tensor.extents[d];
          from += static_cast<std::int64_t>(place[d]) * static_cast<std::int64_t>(tensor.strides_bytes[d - 1]);
        }
        for (int c = 0; c < kBoxChannels; ++c) {
          std::uint16_t x = 0;
          const int channel = place[0] + c;
          if (inside && channel >= 0 && static_cast<std::uint64_t>(channel) < tensor.extents[0])
            std::memcpy(&x, from + c * 2, sizeof(x));
          const std::uint32_t where = swizzle_128_bytes(to + static_cast<std::uint32_t>(c) * 2);
          std::memcpy(shared_ + where, &x, sizeof(x));
          std::memcpy(seen_.data() + where, &x, sizeof(x));
        }
      }
  BarrierState& barrier = barrier_at(copy.barrier);
  barrier.bytes -= to - copy.to;
  finish_phase(barrier);
}

void AsyncState::land_all_of(const void* barrier) {
  std::vector<Copy> left, landing;
  for (const Copy& copy : copies_) (copy.barrier == barrier ? landing : left).push_back(copy);
  copies_ = std::move(left);
  while (!landing.empty()) {
    std::swap(landing[Fibers::random() % landing.size()], landing.back());
    land(landing.back());
    landing.pop_back();
  }
}

// Products.

void AsyncState::begin_products(int warp) { warps_[static_cast<std::size_t>(warp)].begun = true; }

float AsyncState::element(std::uint32_t at) const {
  std::uint16_t seen, written;
  if (at + sizeof(seen) > seen_.size()) misuse("a product's operand leaves shared memory");
  std::memcpy(&seen, seen_.data() + at, sizeof(seen));
  std::memcpy(&written, shared_ + at, sizeof(written));
  if (seen != written) misuse("a product reads what a thread has written and not shown");
  return float_from_bfloat16(seen);
}

void AsyncState::read_operands(int warp, Product& product) const {
  const AskedProduct& asked = product.asked;
  const int first = warp % kWarpsOfAGroup * 16, columns = 8 * asked.tiles;
  product.left.resize(16 * 16), product.right.resize(static_cast<std::size_t>(16 * columns));
  if (product.lanes[0].left == nullptr) {
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 16; ++k)
        product.left[static_cast<std::size_t>(i * 16 + k)] = element(element_address(asked.left, false, first + i, k));
  } else {
    for (std::size_t lane = 0; lane < kWarpLanes; ++lane)
      for (int r = 0; r < 4; ++r)
        for (int e = 0; e < 2; ++e) {
          const Element at = left_element(static_cast<int>(lane), r, e);
          const std::uint32_t two = product.registers[lane][static_cast<std::size_t>(r)];
          product.left[static_cast<std::size_t>(at.row * 16 + at.column)] =
              float_from_bfloat16(static_cast<std::uint16_t>(two >> (16 * e)));
        }
  }
  for (int k = 0; k < 16; ++k)
    for (int j = 0; j < columns; ++j)
      product.right[static_cast<std::size_t>(k * columns + j)] =
          element(element_address(asked.right, asked.transposed, j, k));
}

bool AsyncState::is_begun_by_another(const Warp& warp, const float* sums) const {
  const auto has = [&](const std::vector<Product>& group) {
    return std::any_of(group.begin(), group.end(), [&](const Product& p) { return p.lanes[0].sums == sums; });
  };
  return has(warp.open) || std::any_of(warp.groups.begin(), warp.groups.end(), has);
}

// Sums are the product's until it completes: NaN for all others.
void AsyncState::take_sums(Product& product) {
  const auto floats = static_cast<std::size_t>(4 * product.asked.tiles);
  for (const LaneOfProduct& lane : product.lanes) {
    product.begun.insert(product.begun.end(), lane.sums, lane.sums + floats);
    std::memset(lane.sums, 0xff, floats * sizeof(float));
  }
}

void AsyncState::multiply(int warp, const AskedProduct& asked, const std::array<LaneOfProduct, kWarpLanes>& lanes) {
  Warp& of = warps_[static_cast<std::size_t>(warp)];
  if (!of.begun) misuse("a product is asked for without begin_products");
  std::vector<AskedProduct>& all = asked_[static_cast<std::size_t>(warp / kWarpsOfAGroup)];
  if (of.products == all.size()) all.push_back(asked);
  if (!(all[of.products++] == asked)) misuse("warps of one warpgroup ask for different products");
  Product product{asked, lanes, {}, {}, {}, {}};
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane)
    if (lanes[lane].left != nullptr) std::copy_n(lanes[lane].left, 4, product.registers[lane].begin());
  if (!is_begun_by_another(of, lanes[0].sums)) take_sums(product);
  if (Fibers::random() % 2 == 0) read_operands(warp, product);
  of.open.push_back(std::move(product));
}

void AsyncState::commit_products(int warp) {
  Warp& of = warps_[static_cast<std::size_t>(warp)];
  of.groups.push_back(std::move(of.open));
  of.open.clear();
  of.begun = false;
}

// Sums become what the product makes of them.
void AsyncState::complete(int warp, Product& product) {
  const int tiles = product.asked.tiles, columns = 8 * tiles;
  const auto floats = static_cast<std::size_t>(4 * tiles);
  if (product.left.empty()) read_operands(warp, product);
  std::vector<float> c(static_cast<std::size_t>(16 * columns));
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k) {
      const float a = product.left[static_cast<std::size_t>(i * 16 + k)];
      const float* const b = product.right.data() + k * columns;
      float* const row = c.data() + i * columns;
      for (int j = 0; j < columns; ++j) row[j] += a * b[j];
    }
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
    const LaneOfProduct& of = product.lanes[lane];
    if (of.left != nullptr && std::memcmp(of.left, product.registers[lane].data(), 4 * sizeof(std::uint32_t)) != 0)
      misuse("registers of a product's left operand are written before it is waited for");
    if (!product.begun.empty()) {
      const auto* const bytes = reinterpret_cast<const unsigned char*>(of.sums);
      if (!std::all_of(bytes, bytes + floats * sizeof(float), [](unsigned char byte) { return byte == 0xff; }))
        misuse("sums of a product are written before it is waited for");
      std::copy_n(product.begun.begin() + static_cast<std::ptrdiff_t>(lane * floats), floats, of.sums);
    }
    for (int t = 0; t < tiles; ++t)
      for (int r = 0; r < 4; ++r) {
        const Element at = sum_element(static_cast<int>(lane), r);
        float& sum = of.sums[t * 4 + r];
        sum = (product.asked.adds ? sum : 0.0f) + c[static_cast<std::size_t>(at.row * columns + t * 8 + at.column)];
      }
  }
}

// A sum that later groups go on with is theirs: NaN again.
void AsyncState::wait_for_products(int warp, int left) {
  Warp& of = warps_[static_cast<std::size_t>(warp)];
  if (!of.open.empty()) misuse("products are waited for that were not committed");
  of.begun = false;
  std::set<const float*> completed;
  for (; static_cast<int>(of.groups.size()) > left; of.groups.pop_front())
    for (Product& product : of.groups.front()) {
      complete(warp, product);
      completed.insert(product.lanes[0].sums);
    }
  for (std::vector<Product>& group : of.groups)
    for (Product& product : group)
      if (completed.erase(product.lanes[0].sums) != 0) take_sums(product);
}

// Barriers with a number, and registers.

bool AsyncState::sync(int number, int threads, bool yes) {
  if (number < 1 || number > 15) misuse("a numbered barrier is 1 to 15");
  std::unique_ptr<Named>& named = named_[number];
  if (named == nullptr) named = std::make_unique<Named>(Named{threads, Meeting(threads), false, false});
  if (named->threads != threads) misuse("threads meet at one barrier and count differently");
  Named& at = *named;
  at.said = at.said || yes;
  at.meeting.meet([&at] {
    at.anyone = at.said;
    at.said = false;
  });
  return at.anyone;
}

void AsyncState::set_registers(int thread, int registers, bool more) {
  if (registers % 8 != 0 || registers < 24 || registers > 256) misuse("registers of a thread are 24 to 256, by eights");
  int& own = registers_[static_cast<std::size_t>(thread)];
  if (more ? registers < own : registers > own) misuse("registers are given up for more, or taken for fewer");
  const int needed = registers - own;
  if (needed > 0) Fibers::wait_until([this, needed] { return free_registers_ >= needed; });
  free_registers_ -= needed;
  own = registers;
}

}  // namespace longstride::cuda::host
