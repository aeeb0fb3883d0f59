// Threads that play processes which speak TCP over loopback: each joins by itself, as a process would.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "longstride/processes.h"
#include "parallel/sockets.h"
#include "parallel/world.h"

namespace longstride {

// A port of loopback that nobody listens at now.
inline int free_port() { return net::port_of(*net::listen_at("127.0.0.1", 0)); }

// What each of `size` threads threw, in words; "" where it threw nothing.
inline std::vector<std::string> outcomes(int size, const std::function<void(int rank)>& body) {
  std::vector<std::string> words(static_cast<std::size_t>(size));
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const std::exception& error) {
        words[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  threads.clear();  // joins
  return words;
}

// As run_threads, over TCP.
inline std::vector<std::string> run_over_tcp(int size, const std::function<void(World&)>& body,
                                             const Joining& joining = {}) {
  const int port = free_port();
  return outcomes(size, [&](int rank) {
    const std::shared_ptr<World> world = join_world_by_tcp({rank, size, "127.0.0.1", port}, joining);
    body(*world);
  });
}

}  // namespace longstride
