// A pass as a value: operations over named buffers, in order. A backend compiles it (ops/backend.h): what a pass needs
// is then known before it runs, and what is done once is done once. Memory follows from the program: a buffer is alive
// from the first operation that names it to the last, and buffers that are never alive together share bytes.
//
//   Program program;
//   const Matrix x = program.matrix("x", Life::lasting, DType::float32, N, K);
//   program.add(Linear{...});
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ops/memory.h"
#include "ops/ops.h"

namespace longstride {

enum class Life : std::uint8_t {
  passing,  // from the first operation that names it to the last
  lasting,  // throughout, and from run to run: what the host writes before a run or reads after it
};

class Program {
 public:
  // Operands in a buffer of their own; views of them (rows_from, columns, from) may be given to any operation. An
  // extent of 0 makes an absent operand and no buffer.
  Matrix matrix(std::string name, Life life, DType type, std::int64_t rows, std::int64_t cols);
  template <class T>
  Array<T> array(std::string name, Life life, std::int64_t count) {
    if (count == 0) return {};
    return {nullptr, count, {buffer(std::move(name), life, count * static_cast<std::int64_t>(sizeof(T))), 0}};
  }

  // What lies outside of the program and is only read, its weights, is seldom written between two runs: a device may
  // keep it in an order of its own, at the memory of another copy. Results are the same.
  void expect_weights_to_stay() { weights_stay_ = true; }
  bool weights_stay() const { return weights_stay_; }

  void add(Operation operation) { operations_.push_back(std::move(operation)); }

  // Derives lifetimes and lays the buffers out in one arena. Adds nothing afterwards. Error invalid_argument where an
  // operand reaches beyond its buffer.
  void lay_out();
  std::int64_t arena_bytes() const { return plan_.total_bytes(); }
  const MemoryPlan& plan() const { return plan_; }

  // Gives every operand that lies in a buffer its address. Error invalid_argument where one that names memory outside
  // of the program has none, or where there are buffers and no arena.
  void bind(void* arena);
  // A view of this program, with its address; one of memory outside, or none, as it is. After bind.
  template <class View>
  View bound(View view) const {
    if (view.place.buffer >= 0) view.data = static_cast<decltype(view.data)>(address(view.place));
    return view;
  }

  std::span<const Operation> operations() const { return operations_; }

 private:
  struct Buffered {
    std::string name;
    std::int64_t bytes;
    Life life;
  };
  std::int32_t buffer(std::string name, Life life, std::int64_t bytes);
  void* address(const Place& place) const;

  std::vector<Buffered> buffers_;
  std::vector<Operation> operations_;
  MemoryPlan plan_;
  char* arena_ = nullptr;
  bool weights_stay_ = false;
};

}  // namespace longstride
