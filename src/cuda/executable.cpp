// This counts the scratch memory of a program's operations, and runs them in order.
#include "cuda/executable.h"

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "cuda/operations.h"
#include "longstride/error.h"

namespace longstride::cuda {

Shared::Shared(int which) : card(which) { inputs_ = static_cast<StepInputs*>(card.allocate(sizeof(StepInputs))); }
Shared::~Shared() {
  card.release(workspace_);
  card.release(inputs_);
}

void Shared::reserve(std::int64_t bytes) {
  if (bytes <= reserved_bytes_) return;
  card.release(workspace_);  // waits for who uses it
  workspace_ = nullptr;
  reserved_bytes_ = 0;
  workspace_ = static_cast<char*>(card.allocate(bytes));
  reserved_bytes_ = bytes;
}

CudaExecutable::CudaExecutable(Program program, Shared& shared) : program_(std::move(program)), shared_(shared) {
  program_.lay_out();
  sums_ = passing_sums(program_.operations());
  for (std::size_t at = 0; at < program_.operations().size(); ++at) {
    const Operation& operation = program_.operations()[at];
    check(operation);
    marks_ = marks_ || std::holds_alternative<Mark>(operation);
    attention_.emplace_back();
    const std::int64_t bytes = std::visit(
        [this, at]<class Op>(const Op& op) {
          if constexpr (std::is_same_v<Op, Attention>)
            return attention_.back().emplace<AttentionForward>(op, shared_.card.attention_kernels()).workspace_bytes();
          else if constexpr (std::is_same_v<Op, AttentionBackward>)
            return attention_.back().emplace<AttentionGradient>(op, shared_.card.attention_kernels()).workspace_bytes();
          else if constexpr (std::is_same_v<Op, DecodeAttention>)
            return decode_workspace_bytes(op);
          else if constexpr (std::is_same_v<Op, LinearBackwardData>)
            return scratch_bytes(op, sums_.of[at] != 0);
          else
            return scratch_bytes(op);
        },
        operation);
    workspace_bytes_ = std::max(workspace_bytes_, bytes);
  }
  workspace_bytes_ += scratch_of(Products::workspace_bytes());
}

void CudaExecutable::bind(void* arena) {
  recorded_.reset();
  runs_since_bound_ = 0;
  program_.bind(arena);
  shared_.reserve(workspace_bytes_);
}

void CudaExecutable::run(const StepInputs& inputs, const AtMark& at_mark) {
  Card& card = shared_.card;
  card.use();
  card.upload(shared_.inputs(), &inputs, sizeof(inputs));
  const bool is_watched = at_mark && marks_;
  if (!is_watched && record()) return card.replay(*recorded_);
  if (!is_watched) return put({});
  put([&](const Mark& mark) {
    at_mark(mark);
    card.upload(shared_.inputs(), &inputs, sizeof(inputs));  // programs that ran meanwhile had inputs of their own
  });
}

// Whether there is a recording of the program as it would run now. The first runs after bind are for what is done once,
// such as the choice of a product's algorithm, and for programs that never come again. What cannot be recorded is run
// as before: sums of rows bring addresses from the host in the midst of it.
bool CudaExecutable::record() {
  constexpr int kFirstRuns = 2;
  if (!can_be_recorded_ || runs_since_bound_++ < kFirstRuns) return false;
  runs_since_bound_ = kFirstRuns;
  if (recorded_ && recorded_workspace_ == shared_.workspace()) return true;
  recorded_.reset();
  try {
    recorded_ = shared_.card.record([this] { put({}); });
  } catch (const Error&) {
    can_be_recorded_ = false;
    return false;
  }
  recorded_workspace_ = shared_.workspace();
  return true;
}

void CudaExecutable::put(const AtMark& at_mark) {
  const Run run{shared_.card, shared_.products, shared_.inputs(), shared_.workspace(),
                shared_.workspace() + scratch_of(Products::workspace_bytes())};
  for (std::size_t at = 0; at < program_.operations().size(); ++at) {
    std::visit(
        [&]<class Op>(const Op& op) {
          if constexpr (std::is_same_v<Op, Mark>) {
            if (at_mark) at_mark(op);
          } else if constexpr (std::is_same_v<Op, Attention>) {
            std::get<AttentionForward>(attention_[at]).run(run.stream(), op, run.scratch);
          } else if constexpr (std::is_same_v<Op, AttentionBackward>) {
            std::get<AttentionGradient>(attention_[at]).run(run.stream(), op, run.scratch);
          } else if constexpr (std::is_same_v<Op, DecodeAttention>) {
            decode_attention(run.stream(), op, run.scratch);
          } else if constexpr (std::is_same_v<Op, LinearBackwardData>) {
            const std::size_t sum = sums_.of[at];
            compute(run, op,
                    sum == 0 ? Array<float>() : std::get<LinearBackwardWeights>(program_.operations()[sum]).dbias);
          } else if constexpr (std::is_same_v<Op, LinearBackwardWeights>) {
            LinearBackwardWeights rest = op;
            if (sums_.taken[at]) rest.dbias = {};
            compute(run, rest);
          } else {
            compute(run, op);
          }
        },
        program_.operations()[at]);
  }
}

}  // namespace longstride::cuda
