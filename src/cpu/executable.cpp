// This prepares a program's operations for the CPU, and runs them in order.
#include "cpu/executable.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "cpu/decode_attention.h"
#include "cpu/embed.h"
#include "cpu/norm.h"
#include "cpu/optimizer.h"
#include "cpu/row_lists.h"
#include "cpu/threads.h"

namespace longstride::cpu {

namespace {

using Nothing = std::monostate;

// Makes what an operation keeps, and says how much scratch memory its runs need.
struct Prepare {
  Products& products;
  std::int64_t bytes = 0;

  template <class Op>
  Nothing operator()(const Op&) {
    return {};
  }
  LinearForward operator()(const Linear& op) { return counted(LinearForward(op, products)); }
  LinearData operator()(const LinearBackwardData& op) { return counted(LinearData(op, products)); }
  LinearWeights operator()(const LinearBackwardWeights& op) { return counted(LinearWeights(op, products)); }
  std::unique_ptr<Loss> operator()(const VocabularyLoss& op) {
    auto made = std::make_unique<Loss>(op, products);
    bytes = made->workspace_bytes();
    return made;
  }
  AttentionForward operator()(const Attention& op) { return counted(AttentionForward(op)); }
  AttentionGradient operator()(const AttentionBackward& op) { return counted(AttentionGradient(op)); }
  Nothing operator()(const ResidualNorm& op) { return only(residual_norm_workspace_bytes(op.h_in.cols)); }
  Nothing operator()(const ResidualNormBackward& op) { return only(residual_norm_backward_workspace_bytes(op)); }
  Nothing operator()(const PackRows& op) { return only(pack_rows_workspace_bytes(op)); }
  Nothing operator()(const SumRows& op) { return only(sum_rows_workspace_bytes(op)); }

 private:
  Nothing only(std::int64_t needed) {
    bytes = needed;
    return {};
  }
  template <class Made>
  Made counted(Made made) {
    bytes = made.workspace_bytes();
    return made;
  }
};

struct Run {
  Workspace& workspace;
  const StepInputs& inputs;
  const Executable::AtMark& at_mark;

  void operator()(const Embed& op, const Nothing&) { embed_forward(op); }
  void operator()(const EmbedBackward& op, const Nothing&) { embed_backward(op); }
  void operator()(const ResidualNorm& op, const Nothing&) { residual_norm(op, inputs, workspace); }
  void operator()(const ResidualNormBackward& op, const Nothing&) { residual_norm_backward(op, inputs, workspace); }
  void operator()(const Linear& op, const LinearForward& made) { made.run(op, workspace); }
  void operator()(const LinearBackwardData& op, const LinearData& made) { made.run(op, workspace); }
  void operator()(const LinearBackwardWeights& op, const LinearWeights& made) { made.run(op, workspace); }
  void operator()(const Attention& op, const AttentionForward& made) { made.run(op, workspace); }
  void operator()(const AttentionBackward& op, const AttentionGradient& made) { made.run(op, workspace); }
  void operator()(const VocabularyLoss& op, const std::unique_ptr<Loss>& made) { made->run(op, inputs, workspace); }
  void operator()(const SumBits& op, const Nothing&) { sum_bits(op); }
  void operator()(const Sum& op, const Nothing&) { sum(op); }
  void operator()(const SquareSums& op, const Nothing&) { square_sums(op); }
  void operator()(const GradientNorm& op, const Nothing&) { gradient_norm(op); }
  void operator()(const AdamW& op, const Nothing&) { adamw(op, inputs); }
  void operator()(const PackRows& op, const Nothing&) { pack_rows(op, workspace); }
  void operator()(const SumRows& op, const Nothing&) { sum_rows(op, workspace); }
  void operator()(const PutRows& op, const Nothing&) { put_rows(op); }
  void operator()(const Zero& op, const Nothing&) { zero(op); }
  void operator()(const Round& op, const Nothing&) { round(op); }
  void operator()(const Exchange& op, const Nothing&) { exchange(op); }
  void operator()(const DecodeAttention& op, const Nothing&) { decode_attention(op, workspace); }
  void operator()(const CacheRows& op, const Nothing&) { cache_rows(op); }
  void operator()(const Mark& mark, const Nothing&) {
    if (at_mark) at_mark(mark);
  }
};

// What an operation of this type keeps.
template <class Op>
using Kept = decltype(std::declval<Prepare&>()(std::declval<const Op&>()));

}  // namespace

CpuExecutable::CpuExecutable(Program program, CpuShared& shared) : program_(std::move(program)), shared_(shared) {
  program_.lay_out();
  for (const Operation& operation : program_.operations()) check(operation);
  by_crew_ = Crew::can_run(program_.operations());
  if (by_crew_) return;  // counts its scratch memory when lists of slots are known
  Prepare prepare{shared_.products};
  prepared_.reserve(program_.operations().size());
  for (const Operation& operation : program_.operations()) {
    prepare.bytes = 0;
    prepared_.push_back(std::visit([&](const auto& op) { return Prepared(prepare(op)); }, operation));
    workspace_bytes_ = std::max(workspace_bytes_, prepare.bytes);
  }
}

void CpuExecutable::bind(void* arena) {
  program_.bind(arena);
  shared_.workspace.reserve(workspace_bytes_);
  writes_.clear();
  for (const Operation& operation : program_.operations()) {
    std::vector<Range>& ranges = writes_.emplace_back();
    each_operand(operation, [&](Use use, const auto& operand) {
      if (operand && use != Use::reads && operand.place.buffer < 0) ranges.push_back({operand.data, bytes_of(operand)});
    });
  }
  for (std::size_t at = 0; program_.weights_stay() && at < prepared_.size(); ++at) {
    const auto* op = std::get_if<Linear>(&program_.operations()[at]);
    if (op != nullptr && op->w.place.buffer < 0) std::get<LinearForward>(prepared_[at]).keep(*op, shared_.packed);
  }
}

void CpuExecutable::tell_written(std::size_t operation) {
  for (const Range& range : writes_[operation]) shared_.packed.written(range.memory, range.bytes);
}

void CpuExecutable::run(const StepInputs& inputs, const AtMark& at_mark) {
  if (by_crew_) {
    if (!shared_.crew || shared_.crew->threads() != threads()) shared_.crew.emplace(threads());
    for (std::size_t at = 0; at < writes_.size(); ++at) tell_written(at);
    shared_.crew->run(program_.operations(), shared_.workspace);
    return;
  }
  Run run{shared_.workspace, inputs, at_mark};
  for (std::size_t at = 0; at < prepared_.size(); ++at) {
    const auto one = [&](const auto& op) { run(op, std::get<Kept<std::decay_t<decltype(op)>>>(prepared_[at])); };
    tell_written(at);
    std::visit(one, program_.operations()[at]);
  }
}

}  // namespace longstride::cpu
