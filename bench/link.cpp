// How fast do bytes go between processes? mpirun -np P link [--megabytes M] [--runs R]: every process sends M megabytes
// in all to the others and receives as many, as a step of training does; and one byte, for the latency. Counts the
// bytes that one process sends. The first process prints one JSON line.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <exception>
#include <memory>

#include "harness.h"
#include "longstride/processes.h"
#include "parallel/world.h"

namespace {

using namespace longstride;

// Pieces of what every process sends to each other one, and of where it receives.
struct Letters {
  Letters(const World& world, std::int64_t bytes)
      : sent(static_cast<std::size_t>(bytes * world.size())), got(sent.size()) {
    for (int p = 0; p < world.size(); ++p) {
      const auto at = static_cast<std::size_t>(p * bytes);
      const std::int64_t length = p == world.rank() ? 0 : bytes;
      std::fill_n(sent.begin() + static_cast<std::ptrdiff_t>(at), bytes, mark(world.rank(), p));
      sends.push_back({sent.data() + at, length});
      receives.push_back({got.data() + at, length});
    }
  }
  static char mark(int from, int to) { return static_cast<char>(1 + (from * 7 + to) % 100); }
  bool have_arrived(const World& world) const {
    for (int p = 0; p < world.size(); ++p) {
      const auto* piece = static_cast<const char*>(receives[static_cast<std::size_t>(p)].data);
      const std::int64_t bytes = receives[static_cast<std::size_t>(p)].bytes;
      if (!std::all_of(piece, piece + bytes, [&](char c) { return c == mark(p, world.rank()); })) return false;
    }
    return true;
  }

  std::vector<char> sent, got;
  std::vector<World::Piece> sends, receives;
};

int measure(World& world, double megabytes, int runs) {
  constexpr int kSmall = 100;  // exchanges of one byte, timed together
  const int others = world.size() - 1;
  if (others == 0) {
    std::fprintf(stderr, "link: one process sends nothing; mpirun -np 2 starts two\n");
    return 2;
  }
  const auto bytes = static_cast<std::int64_t>(megabytes * 1e6 / others);
  Letters large(world, bytes), small(world, 1);
  world.exchange(large.sends, large.receives);
  if (!large.have_arrived(world)) {
    std::fprintf(stderr, "link: what arrived is not what was sent, nothing is timed\n");
    return 1;
  }
  std::vector<bench::Times> times = bench::alternate({[&] { world.exchange(large.sends, large.receives); },
                                                      [&] {
                                                        for (int i = 0; i < kSmall; ++i)
                                                          world.exchange(small.sends, small.receives);
                                                      }},
                                                     runs);
  bench::divide(times[1], kSmall);
  if (world.rank() > 0) return 0;
  bench::print(times[0], {{"bytes_per_s", static_cast<double>(bytes * others) / bench::median(times[0].wall_s)},
                          {"latency_s", bench::median(times[1].wall_s)},
                          {"sent_bytes", bytes * others},
                          {"processes", world.size()}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app{"How fast do bytes go between processes?"};
  double megabytes = 32;
  int runs = 15;
  app.add_option("--megabytes", megabytes)->capture_default_str()->check(CLI::Range(0.001, 1000.0));
  app.add_option("--runs", runs)->capture_default_str()->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  try {
    const std::shared_ptr<World> world = join_world_by_mpi();
    return measure(*world, megabytes, runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "link: %s\n", error.what());
    return 1;
  }
}
