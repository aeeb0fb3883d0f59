// This deals the pieces of a list of operations out to threads, and puts them to sleep where nothing is left.
#include "cpu/crew.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <system_error>

#include "cpu/embed.h"
#include "cpu/few_rows.h"
#include "cpu/norm.h"
#include "cpu/threads.h"
#include "longstride/error.h"

namespace longstride::cpu {

namespace {

// Bytes that an operation touches on average, below which waiting for one another costs more than a second thread
// saves: half a microsecond at 30 GB/s, which is what handing over costs.
constexpr std::int64_t kThreadedBytes = std::int64_t{16} << 10;

// Pauses, about 40 microseconds, before a waiting thread sleeps: longer than any operation that is not held up.
constexpr int kPatience = 1000;

// Weights that a waiting thread asks for: they stay in its caches until it computes with them.
constexpr std::int64_t kAheadBytes = std::int64_t{128} << 10;

constexpr std::int64_t kNormElements = 2048;  // a piece

std::int64_t rows_a_piece(const ResidualNorm& op) { return std::max<std::int64_t>(1, kNormElements / op.h_in.cols); }

using Scratch = Crew::Scratch;

// Operations that cannot be cut (Crew::can_run).
template <class Op>
std::int64_t pieces_of(const Op&) {
  return 0;
}
std::int64_t pieces_of(const Embed&) { return 1; }
std::int64_t pieces_of(const ResidualNorm& op) { return (op.h_in.rows + rows_a_piece(op) - 1) / rows_a_piece(op); }
std::int64_t pieces_of(const Linear& op) { return few_rows_pieces(op); }
std::int64_t pieces_of(const DecodeAttention& op) { return decode_attention_pieces(op); }

template <class Op>
void run_piece(const Op&, std::int64_t, const Scratch&, int, const void*) {}
void run_piece(const Embed& op, std::int64_t, const Scratch&, int, const void*) { embed_forward(op); }
void run_piece(const ResidualNorm& op, std::int64_t piece, const Scratch&, int, const void*) {
  const std::int64_t first = piece * rows_a_piece(op);
  for (std::int64_t r = first; r < std::min(op.h_in.rows, first + rows_a_piece(op)); ++r) residual_norm_row(op, r);
}
void run_piece(const Linear& op, std::int64_t piece, const Scratch& scratch, int thread, const void* next) {
  few_rows_piece(op, piece, scratch.threads + thread * scratch.thread_bytes, next);
}
void run_piece(const DecodeAttention& op, std::int64_t piece, const Scratch& scratch, int thread, const void*) {
  decode_attention_piece(op, piece, decode_attention_pieces(op), scratch.decode,
                         scratch.threads + thread * scratch.thread_bytes);
}

template <class Op>
std::int64_t bytes_of(const Op&) {
  return 0;
}
std::int64_t bytes_of(const Embed& op) { return op.B * op.T * op.out.cols * 4; }
std::int64_t bytes_of(const ResidualNorm& op) { return op.h_in.rows * op.h_in.cols * 4; }
std::int64_t bytes_of(const Linear& op) { return op.w.rows * op.w.cols * size_of(op.w.type); }
std::int64_t bytes_of(const DecodeAttention& op) {
  std::int64_t keys = 0;
  for (std::int64_t list = 0; list < op.q.rows * op.groups; ++list) keys += op.read_end[list] - op.read_begin[list];
  return keys * (op.q.cols + op.v.cols) / op.groups * size_of(op.q.type);
}

std::int64_t pieces_of(const Operation& operation) {
  return std::visit([](const auto& op) { return pieces_of(op); }, operation);
}

// A share's state: the operation's number in 16 bits, then the end of its pieces and the next one in 24 bits each.
constexpr std::int64_t kMostPieces = (1 << 24) - 1;
constexpr std::size_t kMostOperations = (1 << 16) - 1;
std::uint64_t ticket(std::uint32_t number, std::int64_t next, std::int64_t end) {
  return std::uint64_t{number} << 48 | static_cast<std::uint64_t>(end) << 24 | static_cast<std::uint64_t>(next);
}
std::int64_t next_of(std::uint64_t ticket) { return static_cast<std::int64_t>(ticket & kMostPieces); }
std::int64_t end_of(std::uint64_t ticket) { return static_cast<std::int64_t>(ticket >> 24 & kMostPieces); }

// next: weights that the thread will read after this piece, as far as is known.
void run_piece_of(const Operation& operation, std::int64_t piece, const Scratch& scratch, int thread,
                  const void* next = nullptr) {
  std::visit([&](const auto& op) { run_piece(op, piece, scratch, thread, next); }, operation);
}

// The first product after operation `at`; nullptr: there is none.
const Linear* next_product(std::span<const Operation> program, std::size_t at) {
  while (++at < program.size())
    if (const auto* op = std::get_if<Linear>(&program[at])) return op;
  return nullptr;
}

// Where a thread's share of that product's weights begins.
const void* next_weights(std::span<const Operation> program, std::size_t at, int thread, std::size_t team) {
  const Linear* op = next_product(program, at);
  return op == nullptr ? nullptr
                       : few_rows_weights(*op, thread * few_rows_pieces(*op) / static_cast<std::int64_t>(team));
}

Scratch take_scratch(std::span<const Operation> program, Workspace& workspace, int team) {
  std::int64_t done_bytes = 0, parts_bytes = 0, thread_bytes = 0;
  for (const Operation& operation : program) {
    if (const auto* op = std::get_if<Linear>(&operation)) {
      thread_bytes = std::max(thread_bytes, few_rows_scratch_bytes(*op));
    } else if (const auto* decode = std::get_if<DecodeAttention>(&operation)) {
      done_bytes = std::max(done_bytes, decode_attention_done_bytes(*decode));
      parts_bytes = std::max(parts_bytes, decode_attention_parts_bytes(*decode));
      thread_bytes = std::max(thread_bytes, decode_attention_thread_scratch_bytes(*decode));
    }
  }
  Scratch scratch{};
  scratch.decode.done = static_cast<std::int32_t*>(workspace.take(done_bytes));
  if (done_bytes > 0) std::memset(scratch.decode.done, 0, static_cast<std::size_t>(done_bytes));
  scratch.decode.parts = static_cast<float*>(workspace.take(parts_bytes));
  scratch.thread_bytes = Workspace::rounded(thread_bytes);
  scratch.threads = static_cast<char*>(workspace.take(team * scratch.thread_bytes));
  return scratch;
}

}  // namespace

bool Crew::can_run(std::span<const Operation> program) {
  return program.size() <= kMostOperations &&
         std::all_of(program.begin(), program.end(), [](const Operation& operation) {
           if (const auto* op = std::get_if<Linear>(&operation)) return op->x.rows <= kFewRows;
           if (const auto* op = std::get_if<ResidualNorm>(&operation)) return !(op->branch && op->dropout.rate > 0);
           if (const auto* op = std::get_if<DecodeAttention>(&operation))
             return decode_attention_most_pieces(*op) <= kMostPieces;
           return std::holds_alternative<Embed>(operation);
         });
}

Crew::Crew(int threads) : shares_(static_cast<std::size_t>(threads)) {
  try {
    for (int thread = 1; thread < threads; ++thread) helpers_.emplace_back([this, thread] { help(thread); });
  } catch (const std::system_error&) {
    dismiss();
    throw Error(ErrorKind::exhausted, "cpu: cannot start " + std::to_string(threads) + " threads");
  }
}

Crew::~Crew() { dismiss(); }

void Crew::dismiss() {
  stop_.store(true, std::memory_order_relaxed);
  opened_.raise_to(opened_.now() + 1);
  for (std::thread& helper : helpers_) helper.join();
}

void Crew::run(std::span<const Operation> program, Workspace& workspace) {
  if (program.empty()) return;
  std::int64_t bytes = 0;
  for (const Operation& operation : program)
    bytes += std::visit([](const auto& op) { return bytes_of(op); }, operation);
  const bool pays = bytes >= kThreadedBytes * static_cast<std::int64_t>(program.size());
  const Workspace::Scope scope(workspace);
  scratch_ = take_scratch(program, workspace, threads());
  program_ = program;
  if (!pays || threads() == 1) {
    for (const Operation& operation : program)
      for (std::int64_t piece = 0; piece < pieces_of(operation); ++piece) run_piece_of(operation, piece, scratch_, 0);
    return;
  }
  first_ = opened_.now() + 1;
  const std::uint32_t end = first_ + static_cast<std::uint32_t>(program.size());
  open(0, 0);
  for (std::uint32_t seen = opened_.now(); seen != end;) {
    while (take_piece(0)) {
    }
    seen = wait_beyond(seen, 0);
  }
}

void Crew::help(int thread) {
  for (std::uint32_t seen = 0; !stop_.load(std::memory_order_relaxed);) {
    while (take_piece(thread)) {
    }
    seen = wait_beyond(seen, thread);
  }
}

// Nothing but shares_ is looked at before a piece is taken: the program may be over, and gone.
bool Crew::take_piece(int thread) {
  for (std::size_t i = 0; i < shares_.size(); ++i) {
    Share& share = shares_[(static_cast<std::size_t>(thread) + i) % shares_.size()];
    std::uint64_t seen = share.ticket.load(std::memory_order_acquire);
    while (next_of(seen) < end_of(seen)) {
      if (!share.ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) continue;
      const auto at = static_cast<std::uint16_t>((seen >> 48) - first_);
      const bool last_of_share = i == 0 && next_of(seen) + 1 == end_of(seen);
      const void* next = last_of_share ? next_weights(program_, at, thread, shares_.size()) : nullptr;
      run_piece_of(program_[at], next_of(seen), scratch_, thread, next);
      if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) open(at + 1, thread);
      return true;
    }
  }
  return false;
}

// Sets what is wanted after operation `at`.
void Crew::look_ahead(std::size_t at) {
  const Linear* op = next_product(program_, at);
  if (op == nullptr) return;
  ahead_.store(static_cast<const char*>(op->w.data), std::memory_order_relaxed);
  ahead_bytes_.store(bytes_of(*op), std::memory_order_relaxed);
}

// Operations of one piece are done at once by the thread that opens them.
void Crew::open(std::size_t at, int thread) {
  std::int64_t pieces = 0;
  look_ahead(at);
  for (; at < program_.size() && (pieces = pieces_of(program_[at])) == 1; ++at)
    run_piece_of(program_[at], 0, scratch_, thread);
  const std::uint32_t serial = first_ + static_cast<std::uint32_t>(at);
  if (at < program_.size()) {
    left_.store(pieces, std::memory_order_relaxed);
    const auto team = static_cast<std::int64_t>(shares_.size());
    for (std::int64_t i = 0; i < team; ++i) {
      shares_[static_cast<std::size_t>(i)].ticket.store(ticket(serial, i * pieces / team, (i + 1) * pieces / team),
                                                        std::memory_order_release);
    }
  }
  opened_.raise_to(serial);
}

// What opened_ is when it is no longer `seen`. The program may be over: an address that is asked for need not be there.
std::uint32_t Crew::wait_beyond(std::uint32_t seen, int thread) {
  const auto team = static_cast<std::int64_t>(shares_.size());
  const std::int64_t share = ahead_bytes_.load(std::memory_order_relaxed) / team, most = std::min(share, kAheadBytes);
  const char* ahead = ahead_.load(std::memory_order_relaxed) + thread * share;
  std::int64_t asked = 0;
  for (int patience = kPatience; patience > 0;) {
    const std::uint32_t now = opened_.now();
    if (now != seen) return now;
    if (asked < most) {
      __builtin_prefetch(ahead + asked, 0, 2);
      asked += 64;
    } else {
      _mm_pause();
      --patience;
    }
  }
  opened_.wait(seen);
  return opened_.now();
}

}  // namespace longstride::cpu
