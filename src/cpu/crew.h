// A list of operations on all threads, without a parallel region for each. Operations are cut into pieces by their
// shape; threads take pieces, first of their own share and then of the others', and whoever finishes the last piece of
// an operation opens the next. Nobody waits for a thread that holds no piece: one that the system does not run, because
// others use the machine too, delays little. An OpenMP region would wait for all its threads at its end.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "cpu/decode_attention.h"
#include "cpu/rising_number.h"
#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride::cpu {

class Crew {
 public:
  // Error exhausted where the system gives no more threads.
  explicit Crew(int threads);  // the caller's and threads - 1 helpers, which sleep between programs
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int threads() const { return static_cast<int>(shares_.size()); }

  // True if every operation can be cut; others (many rows, dropout) run one after another.
  static bool can_run(std::span<const Operation> program);
  // On one thread where operations are too small for more. The bits do not depend on threads.
  void run(std::span<const Operation> program, Workspace& workspace);

  struct Scratch {
    DecodeScratch decode;
    char* threads;
    std::int64_t thread_bytes;
  };

 private:
  // What a thread begins with of the operation at hand: which operation, which pieces are left, in one word so that
  // they change together.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> ticket{0};
  };
  void help(int thread);
  void dismiss();  // all helpers, before the crew goes
  bool take_piece(int thread);
  void open(std::size_t at, int thread);
  std::uint32_t wait_beyond(std::uint32_t seen, int thread);
  void look_ahead(std::size_t at);

  // Of the program at hand; read only by who has taken a piece of it.
  std::span<const Operation> program_;
  Scratch scratch_{};
  std::uint32_t first_ = 1;  // number of its first operation

  alignas(64) std::atomic<std::int64_t> left_{0};  // pieces of the operation at hand that are not done
  // Number of the operation at hand, or of the end of its program. Who opens one may be put to sleep before it says so,
  // and wake when others are far beyond.
  alignas(64) RisingNumber opened_;
  // Weights of the product after the operation at hand: who waits asks for those of its share.
  std::atomic<const char*> ahead_{nullptr};
  std::atomic<std::int64_t> ahead_bytes_{0};
  std::atomic<bool> stop_{false};
  std::vector<Share> shares_;  // one a thread
  std::vector<std::thread> helpers_;
};

}  // namespace longstride::cpu
