// A program on a card: its operations put into the card's stream, one after the other; from the third run on as one
// thing, recorded in it.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "cuda/attention/attention.h"
#include "cuda/card.h"
#include "cuda/passing_sums.h"
#include "cuda/product.h"
#include "cuda/run.h"
#include "ops/backend.h"

namespace longstride::cuda {

// What all executables of a backend share.
class Shared {
 public:
  explicit Shared(int which);  // of the cards
  ~Shared();
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  Card card;
  Products products;

  // Makes the scratch memory at least this large. Error exhausted: there is none then.
  void reserve(std::int64_t bytes);
  char* workspace() const { return workspace_; }
  StepInputs* inputs() const { return inputs_; }  // in the card's memory

 private:
  char* workspace_ = nullptr;
  std::int64_t reserved_bytes_ = 0;
  StepInputs* inputs_ = nullptr;
};

class CudaExecutable : public Executable {
 public:
  CudaExecutable(Program program, Shared& shared);

  std::int64_t arena_bytes() const override { return program_.arena_bytes(); }
  std::int64_t workspace_bytes() const override { return workspace_bytes_; }
  void bind(void* arena) override;
  const Program& program() const override { return program_; }
  using Executable::run;
  // Returns when all is in the stream. Where somebody is to be told of a Mark all that comes before it is there, done
  // or not.
  void run(const StepInputs& inputs, const AtMark& at_mark) override;

 private:
  void put(const AtMark& at_mark);
  bool record();

  Program program_;
  Shared& shared_;
  std::vector<std::variant<std::monostate, AttentionForward, AttentionGradient>> attention_;  // one an operation
  PassingSums sums_;
  std::int64_t workspace_bytes_ = 0;
  bool marks_ = false;
  bool can_be_recorded_ = true;
  int runs_since_bound_ = 0;
  std::unique_ptr<Recorded> recorded_;
  const char* recorded_workspace_ = nullptr;  // the scratch memory that is in it
};

}  // namespace longstride::cuda
