// A program on the CPU: products made, schedules laid, scratch memory counted when it is compiled; a run goes through
// the operations in order, or hands all of them to a crew of threads where they are those of decoding.
#pragma once

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "cpu/attention.h"
#include "cpu/crew.h"
#include "cpu/linear.h"
#include "cpu/packed_weights.h"
#include "cpu/product.h"
#include "cpu/workspace.h"
#include "ops/backend.h"

namespace longstride::cpu {

// What all executables of a backend share.
struct CpuShared {
  Products products;
  Workspace workspace;
  PackedWeights packed;
  std::optional<Crew> crew;  // made by the first program that needs one
};

class CpuExecutable : public Executable {
 public:
  CpuExecutable(Program program, CpuShared& shared);

  std::int64_t arena_bytes() const override { return program_.arena_bytes(); }
  std::int64_t workspace_bytes() const override { return workspace_bytes_; }
  void bind(void* arena) override;
  const Program& program() const override { return program_; }
  using Executable::run;
  void run(const StepInputs& inputs, const AtMark& at_mark) override;

 private:
  // What an operation keeps from run to run; nothing where it is one loop over its rows.
  using Prepared = std::variant<std::monostate, LinearForward, LinearData, LinearWeights, std::unique_ptr<Loss>,
                                AttentionForward, AttentionGradient>;

  Program program_;
  CpuShared& shared_;
  std::vector<Prepared> prepared_;  // one an operation; none for a crew
  std::int64_t workspace_bytes_ = 0;
  bool by_crew_ = false;

  // What each operation writes outside of the program. After bind.
  struct Range {
    const void* memory;
    std::int64_t bytes;
  };
  std::vector<std::vector<Range>> writes_;
  void tell_written(std::size_t operation);
};

}  // namespace longstride::cpu
