// This finds which bytes operations name, lays them out on a device, and looks at what came back.
#include "ops/device_twin.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "ops/buffer.h"

namespace longstride {

namespace {

struct Bytes {
  std::byte *begin, *end;
};

// Visits the rows of an operand: what lies between them is not the operand's.
template <class Visit>
void each_row(const Matrix& m, Visit visit) {
  for (std::int64_t r = 0; r < m.rows; ++r) {
    auto* at = static_cast<std::byte*>(m.data) + r * m.stride * size_of(m.type);
    visit(Bytes{at, at + m.cols * size_of(m.type)});
  }
}
template <class Visit>
void each_row(const Heads& x, Visit visit) {
  for (std::int64_t b = 0; b < x.B; ++b) {
    for (std::int64_t t = 0; t < x.T; ++t) {
      for (std::int64_t h = 0; h < x.H; ++h) {
        auto* at = static_cast<std::byte*>(x.data) + x.offset(b, t, h) * size_of(x.type);
        visit(Bytes{at, at + x.D * size_of(x.type)});
      }
    }
  }
}
template <class T, class Visit>
void each_row(const Array<T>& x, Visit visit) {
  visit(Bytes{reinterpret_cast<std::byte*>(x.data), reinterpret_cast<std::byte*>(x.data + x.count)});
}

// From an operand's first byte to its last, and what an operation reads before the first.
template <class Operand>
Bytes reach_of(const Operand& operand) {
  auto* first = reinterpret_cast<std::byte*>(operand.data);
  Bytes reach{first, first};
  each_row(operand, [&](const Bytes& row) {
    reach.begin = std::min(reach.begin, row.begin);
    reach.end = std::max(reach.end, row.end);
  });
  return reach;
}
void add_history(const Operation& operation, std::vector<Bytes>& reaches) {
  const Embed* op = std::get_if<Embed>(&operation);
  if (const auto* backward = std::get_if<EmbedBackward>(&operation)) op = &backward->forward;
  if (op == nullptr) return;
  auto* first = reinterpret_cast<std::byte*>(op->tokens.data);
  reaches.push_back({first - op->history * static_cast<std::int64_t>(sizeof(std::int32_t)), first + 1});
}

}  // namespace

class DeviceTwin::Twin {
 public:
  Twin(Backend& backend, std::vector<Operation> operations) : backend_(backend), operations_(std::move(operations)) {
    find_regions();
    Program program;
    for (Operation operation : operations_) {
      each_operand(operation, [&](Use, auto& operand) {
        if (operand && operand.data != nullptr) move(operand, program);
      });
      program.add(std::move(operation));
    }
    executable_ = backend.compile(std::move(program));
    arena_ = Buffer(backend, executable_->arena_bytes());
    executable_->bind(arena_.data());
  }

  std::string run(const StepInputs& inputs, const Executable::AtMark& at_mark) {
    std::string wrong;
    for (Region& region : regions_) {
      std::vector<std::byte> image(static_cast<std::size_t>(region.bytes() + 2 * kAround), kAroundByte);
      std::copy(region.host.begin, region.host.end, image.begin() + kAround);
      backend_.upload(on_device(region), image.data(), static_cast<std::int64_t>(image.size()));
    }
    executable_->run(inputs, at_mark);
    backend_.wait();
    for (Region& region : regions_) {
      std::vector<std::byte> image(static_cast<std::size_t>(region.bytes() + 2 * kAround));
      backend_.download(image.data(), on_device(region), static_cast<std::int64_t>(image.size()));
      const std::string of_region = take_back(region, image);
      if (wrong.empty()) wrong = of_region;
    }
    return wrong;
  }

 private:
  // Bytes before and after a region. No cache line begins with an operand: a view may begin anywhere.
  static constexpr std::int64_t kAround = 80;
  static constexpr std::byte kAroundByte{0xa5};

  struct Region {
    Bytes host;
    std::vector<Bytes> written = {};  // ascending, apart
    Array<std::uint8_t> inside = {};
    Buffer outside = {};
    std::int64_t bytes() const { return host.end - host.begin; }
    bool placed() const { return inside || outside; }
  };

  // Operands that overlap, as columns of one matrix do, lie in one region.
  void find_regions() {
    std::vector<Bytes> reaches;
    for (Operation& operation : operations_) {
      each_operand(operation, [&](Use, const auto& operand) {
        if (operand && operand.data != nullptr) reaches.push_back(reach_of(operand));
      });
      add_history(operation, reaches);
    }
    std::sort(reaches.begin(), reaches.end(), [](const Bytes& a, const Bytes& b) { return a.begin < b.begin; });
    for (const Bytes& reach : reaches) {
      if (!regions_.empty() && reach.begin < regions_.back().host.end) {
        regions_.back().host.end = std::max(regions_.back().host.end, reach.end);
      } else {
        regions_.push_back({reach});
      }
    }
    for (Operation& operation : operations_) {
      each_operand(operation, [&](Use use, const auto& operand) {
        if (!operand || operand.data == nullptr || use == Use::reads) return;
        Region& region = region_of(operand.data);
        each_row(operand, [&](const Bytes& row) {
          std::vector<Bytes>& written = region.written;
          if (!written.empty() && written.back().end == row.begin) {
            written.back().end = row.end;
          } else {
            written.push_back(row);
          }
        });
      });
    }
    for (Region& region : regions_) {
      std::vector<Bytes> apart;
      std::sort(region.written.begin(), region.written.end(),
                [](const Bytes& a, const Bytes& b) { return a.begin < b.begin; });
      for (const Bytes& row : region.written) {
        if (!apart.empty() && row.begin <= apart.back().end) {
          apart.back().end = std::max(apart.back().end, row.end);
        } else {
          apart.push_back(row);
        }
      }
      region.written = apart;
    }
  }
  Region& region_of(const void* host) {
    const auto* at = static_cast<const std::byte*>(host);
    return *std::find_if(regions_.begin(), regions_.end(),
                         [&](const Region& region) { return region.host.begin <= at && at < region.host.end; });
  }
  // In the order in which operations name them: the same places in every run of a test.
  void place(Region& region, Program& program) {
    const std::int64_t bytes = region.bytes() + 2 * kAround;
    if (places_++ % 2 == 0) {
      region.inside = program.array<std::uint8_t>("region", Life::lasting, bytes);
    } else {
      region.outside = Buffer(backend_, bytes);
    }
  }
  template <class Operand>
  void move(Operand& operand, Program& program) {
    Region& region = region_of(operand.data);
    if (!region.placed()) place(region, program);
    const std::int64_t offset = kAround + (reinterpret_cast<std::byte*>(operand.data) - region.host.begin);
    if (region.inside) {
      operand.data = nullptr;
      operand.place = {region.inside.place.buffer, offset};
    } else {
      operand.data = reinterpret_cast<decltype(operand.data)>(static_cast<std::byte*>(region.outside.data()) + offset);
    }
  }
  void* on_device(const Region& region) const {
    return region.inside ? executable_->program().bound(region.inside).data : region.outside.data();
  }
  static std::string take_back(Region& region, const std::vector<std::byte>& image) {
    const char* wrong = "";
    const auto differs = [](std::byte byte) { return byte != kAroundByte; };
    if (std::any_of(image.begin(), image.begin() + kAround, differs)) wrong = "something is written before operands";
    if (std::any_of(image.end() - kAround, image.end(), differs)) wrong = "something is written behind operands";
    std::byte* kept = region.host.begin;
    const auto came_back = [&](const std::byte* host) { return image.data() + kAround + (host - region.host.begin); };
    const auto look_at_kept = [&](std::byte* end) {
      if (std::memcmp(kept, came_back(kept), static_cast<std::size_t>(end - kept)) != 0)
        wrong = "bytes changed that no operation says it writes";
    };
    for (const Bytes& row : region.written) {
      look_at_kept(row.begin);
      std::copy(came_back(row.begin), came_back(row.end), row.begin);
      kept = row.end;
    }
    look_at_kept(region.host.end);
    return wrong;
  }

  Backend& backend_;
  std::vector<Operation> operations_;
  std::vector<Region> regions_;
  int places_ = 0;
  std::unique_ptr<Executable> executable_;
  Buffer arena_;
};

DeviceTwin::DeviceTwin(Backend& backend, std::vector<Operation> operations)
    : twin_(std::make_unique<Twin>(backend, std::move(operations))) {}
DeviceTwin::~DeviceTwin() = default;

std::string DeviceTwin::run(const StepInputs& inputs, const Executable::AtMark& at_mark) {
  return twin_->run(inputs, at_mark);
}

}  // namespace longstride
