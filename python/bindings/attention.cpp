// Sparse attention over memory that Python's tensors own: addresses and strides in, nothing copied. The objects that
// longstride/sparse_attention.h has made once for a shape are kept here between calls.
#include "longstride/sparse_attention.h"

#include <pthread.h>

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "bindings.h"
#include "longstride/error.h"
#include "longstride/pattern.h"

namespace longstride::python {
namespace {

// Idle objects: at most so many, and so many bytes of scratch together. The one that was used last always stays.
constexpr std::size_t kMostIdle = 32;
constexpr std::int64_t kMostIdleBytes = std::int64_t{512} << 20;

// B, H, T, Dq, Dv, bfloat16, threads, scale, patterns as text.
using Key =
    std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool, int, float, std::string>;

SparseAttention made(const Key& key) {
  SparseAttentionShape shape;
  bool bfloat16 = false;
  std::string texts;
  std::tie(shape.B, shape.H, shape.T, shape.Dq, shape.Dv, bfloat16, shape.threads, shape.scale, texts) = key;
  shape.format = bfloat16 ? NumberFormat::bfloat16 : NumberFormat::float32;
  for (std::size_t begin = 0; begin <= texts.size();) {
    const std::size_t end = std::min(texts.find(';', begin), texts.size());
    shape.patterns.push_back(parse_pattern(std::string_view(texts).substr(begin, end - begin)));
    begin = end + 1;
  }
  return SparseAttention(shape);
}

// Objects that nobody uses now, the one that was used last in front. Threads that want the same shape at the same time
// get an object each.
class Idle {
 public:
  struct Entry {
    Key key;
    SparseAttention attention;
    std::int64_t bytes = 0;
  };
  using Loan = std::list<Entry>;  // of one

  Loan take(const Key& key) {
    Loan loan;
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const Entry& e) { return e.key == key; });
      if (found != idle_.end()) {
        bytes_ -= found->bytes;
        loan.splice(loan.begin(), idle_, found);
        return loan;
      }
    }
    loan.push_back({key, made(key), 0});
    return loan;
  }
  void give_back(Loan loan) {
    Loan dropped;  // destroyed after the lock is released
    const std::lock_guard lock(mutex_);
    loan.front().bytes = loan.front().attention.scratch_bytes();
    bytes_ += loan.front().bytes;
    idle_.splice(idle_.begin(), loan);
    while (idle_.size() > 1 && (idle_.size() > kMostIdle || bytes_ > kMostIdleBytes)) {
      bytes_ -= idle_.back().bytes;
      dropped.splice(dropped.begin(), idle_, std::prev(idle_.end()));
    }
  }
  std::pair<std::size_t, std::int64_t> held() {
    const std::lock_guard lock(mutex_);
    return {idle_.size(), bytes_};
  }
  // A process is forked while nobody is at work here: the other threads do not live on in it to release the lock.
  void before_fork() { mutex_.lock(); }
  void after_fork() { mutex_.unlock(); }
  void clear() {
    Loan dropped;
    const std::lock_guard lock(mutex_);
    dropped.swap(idle_);
    bytes_ = 0;
  }

 private:
  std::mutex mutex_;
  std::list<Entry> idle_;
  std::int64_t bytes_ = 0;
};

Idle& idle() {
  static auto* const objects = new Idle;  // never destroyed: a thread may still compute while the process ends
  return *objects;
}

void release_after_fork() { idle().after_fork(); }

// Strides of (B, H, T, D) in elements; the last one must be 1.
using Strides = std::array<std::int64_t, 4>;

template <class Operand>
Operand operand(const char* name, std::uintptr_t address, const Strides& strides, std::int64_t D) {
  if (strides[3] != 1 && D > 1)
    throw_invalid(std::string("sparse_attention: ") + name + " needs channels next to one another");
  Operand x;
  x.data = reinterpret_cast<void*>(address);
  x.batch_stride = strides[0], x.head_stride = strides[1], x.row_stride = strides[2];
  return x;
}

Key key_of(const Strides& q_shape, std::int64_t Dv, bool bfloat16, const std::string& patterns,
           std::optional<float> scale, int threads) {
  if (scale && !(*scale > 0 && std::isfinite(*scale))) {
    throw_invalid("sparse_attention: scale must be above 0, and finite, got " + std::to_string(*scale));
  }
  const auto [B, H, T, Dq] = q_shape;
  return {B, H, T, Dq, Dv, bfloat16, threads, scale.value_or(0), patterns};
}

// A process that was forked has one thread, and may use that.
void check_process(int threads) {
  if (threads != 1) refuse_after_fork();
}

constexpr const char* kForwardDoc =
    R"(out and lse of q, k, v: addresses and strides (B, H, T, D); see include/longstride/sparse_attention.h.

q_shape: (B, H, T, Dq). patterns: one for all heads, or one a head with ';' between them. scale: None for 1 / sqrt(Dq).
threads: at most so many; 0: set_threads. The GIL is released meanwhile.)";

void forward(Strides q_shape, std::int64_t Dv, bool bfloat16, const std::string& patterns, std::optional<float> scale,
             int threads, std::uintptr_t q, const Strides& q_strides, std::uintptr_t k, const Strides& k_strides,
             std::uintptr_t v, const Strides& v_strides, std::uintptr_t out, const Strides& out_strides,
             std::uintptr_t lse) {
  check_process(threads);
  const std::int64_t Dq = q_shape[3];
  Idle::Loan loan = idle().take(key_of(q_shape, Dv, bfloat16, patterns, scale, threads));
  loan.front().attention.forward(operand<AttentionInput>("q", q, q_strides, Dq),
                                 operand<AttentionInput>("k", k, k_strides, Dq),
                                 operand<AttentionInput>("v", v, v_strides, Dv),
                                 operand<AttentionOutput>("out", out, out_strides, Dv), reinterpret_cast<float*>(lse));
  idle().give_back(std::move(loan));
}

void backward(Strides q_shape, std::int64_t Dv, bool bfloat16, const std::string& patterns, std::optional<float> scale,
              int threads, std::uintptr_t q, const Strides& q_strides, std::uintptr_t k, const Strides& k_strides,
              std::uintptr_t v, const Strides& v_strides, std::uintptr_t out, const Strides& out_strides,
              std::uintptr_t lse, std::uintptr_t dout, const Strides& dout_strides, std::uintptr_t dq,
              const Strides& dq_strides, std::uintptr_t dk, const Strides& dk_strides, std::uintptr_t dv,
              const Strides& dv_strides) {
  check_process(threads);
  const std::int64_t Dq = q_shape[3];
  Idle::Loan loan = idle().take(key_of(q_shape, Dv, bfloat16, patterns, scale, threads));
  loan.front().attention.backward(
      operand<AttentionInput>("q", q, q_strides, Dq), operand<AttentionInput>("k", k, k_strides, Dq),
      operand<AttentionInput>("v", v, v_strides, Dv), operand<AttentionInput>("out", out, out_strides, Dv),
      reinterpret_cast<const float*>(lse), operand<AttentionInput>("dout", dout, dout_strides, Dv),
      operand<AttentionOutput>("dq", dq, dq_strides, Dq), operand<AttentionOutput>("dk", dk, dk_strides, Dq),
      operand<AttentionOutput>("dv", dv, dv_strides, Dv));
  idle().give_back(std::move(loan));
}

}  // namespace

void bind_attention(nb::module_& module) {
  using namespace nb::literals;
  pthread_atfork([] { idle().before_fork(); }, release_after_fork, release_after_fork);
  const auto unlocked = nb::call_guard<Unlocked>();
  module.def("attention_forward", &forward, unlocked, kForwardDoc, "q_shape"_a, "Dv"_a, "bfloat16"_a, "patterns"_a,
             "scale"_a.none(), "threads"_a, "q"_a, "q_strides"_a, "k"_a, "k_strides"_a, "v"_a, "v_strides"_a, "out"_a,
             "out_strides"_a, "lse"_a);
  module.def(
      "attention_backward", &backward, unlocked,
      "dq, dk and dv, all overwritten, of what attention_forward took and gave and of dout, the gradient of out.",
      "q_shape"_a, "Dv"_a, "bfloat16"_a, "patterns"_a, "scale"_a.none(), "threads"_a, "q"_a, "q_strides"_a, "k"_a,
      "k_strides"_a, "v"_a, "v_strides"_a, "out"_a, "out_strides"_a, "lse"_a, "dout"_a, "dout_strides"_a, "dq"_a,
      "dq_strides"_a, "dk"_a, "dk_strides"_a, "dv"_a, "dv_strides"_a);
  module.def(
      "attention_held", [] { return idle().held(); },
      "Objects kept for the next call of the same shape, and the bytes of their scratch memory together.");
  module.def(
      "attention_release", [] { idle().clear(); }, unlocked, "Gives back what attention_held says.");
}

}  // namespace longstride::python
