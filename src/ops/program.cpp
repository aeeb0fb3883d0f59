// This derives lifetimes of a program's buffers, their places in its arena, and the addresses that follow.
#include "ops/program.h"

#include <algorithm>

#include "longstride/error.h"

namespace longstride {

std::int32_t Program::buffer(std::string name, Life life, std::int64_t bytes) {
  buffers_.push_back({std::move(name), bytes, life});
  return static_cast<std::int32_t>(buffers_.size()) - 1;
}

Matrix Program::matrix(std::string name, Life life, DType type, std::int64_t rows, std::int64_t cols) {
  if (rows == 0 || cols == 0) return {};
  const std::int32_t at = buffer(std::move(name), life, rows * cols * size_of(type));
  return {nullptr, type, rows, cols, cols, {at, 0}};
}

void Program::lay_out() {
  const int end = static_cast<int>(operations_.size());
  std::vector<int> first(buffers_.size(), end), last(buffers_.size(), -1);
  for (std::size_t b = 0; b < buffers_.size(); ++b)
    if (buffers_[b].life == Life::lasting) first[b] = 0, last[b] = end;
  for (int at = 0; at < end; ++at) {
    each_operand(operations_[static_cast<std::size_t>(at)], [&](Use, const auto& operand) {
      if (!operand || operand.place.buffer < 0) return;
      const auto b = static_cast<std::size_t>(operand.place.buffer);
      const auto refuse = [&](const std::string& why) {
        throw_invalid(std::string(name_of(operations_[static_cast<std::size_t>(at)])) + ": an operand " + why);
      };
      if (b >= buffers_.size()) refuse("lies in a buffer of another program");
      if (operand.place.offset < 0 || operand.place.offset + bytes_of(operand) > buffers_[b].bytes)
        refuse("reaches beyond its buffer \"" + buffers_[b].name + "\"");
      first[b] = std::min(first[b], at);
      last[b] = std::max(last[b], at);
    });
  }
  plan_ = MemoryPlan();
  for (std::size_t b = 0; b < buffers_.size(); ++b)
    plan_.add(buffers_[b].name, last[b] < 0 ? 0 : buffers_[b].bytes, first[b], std::max(first[b], last[b]));
  plan_.lay_out();
}

void* Program::address(const Place& place) const {
  return arena_ + plan_.offset(static_cast<std::size_t>(place.buffer)) + place.offset;
}

void Program::bind(void* arena) {
  if (arena == nullptr && arena_bytes() > 0)
    throw_invalid("program: needs an arena of " + std::to_string(arena_bytes()) + " bytes, got none");
  arena_ = static_cast<char*>(arena);
  for (Operation& operation : operations_) {
    each_operand(operation, [&](Use, auto& operand) {
      if (!operand) return;
      if (operand.place.buffer >= 0) operand.data = static_cast<decltype(operand.data)>(address(operand.place));
      if (operand.data == nullptr)
        throw_invalid(std::string(name_of(operation)) + ": an operand has no buffer and no address");
    });
  }
}

}  // namespace longstride
