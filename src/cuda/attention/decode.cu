// This launches the two kernels of decoding.
#include "cuda/attention/attention.h"
#include "cuda/attention/decode_kernels.h"
#include "cuda/launch.h"

namespace longstride::cuda {

namespace {

template <class A>
DecodeNumbers<A> numbers_of(const DecodeAttention& op, void* workspace) {
  DecodeNumbers<A> numbers;
  numbers.R = op.q.rows, numbers.H = op.H, numbers.G = op.groups, numbers.slots = op.slots;
  numbers.Dq = static_cast<int>(op.q.cols / op.H), numbers.Dv = static_cast<int>(op.v.cols / op.H);
  numbers.scale = op.scale * 1.4426950408889634f;
  numbers.q = rows_of<A>(op.q), numbers.k = rows_of<A>(op.k), numbers.v = rows_of<A>(op.v);
  numbers.out = rows_of<A>(op.out), numbers.keys = rows_of<A>(op.keys), numbers.values = rows_of<A>(op.values);
  const std::int64_t size = sizeof(A), lengths = op.keys.stride | numbers.Dq;
  numbers.aligned = reinterpret_cast<std::uintptr_t>(op.keys.data) % 16 == 0 && lengths * size % 16 == 0;
  numbers.sequence = op.sequence.data, numbers.group = op.group.data, numbers.first_slot = op.first_slot.data;
  numbers.write = op.write.data, numbers.write_begin = op.write_begin.data, numbers.write_end = op.write_end.data;
  numbers.read = op.read.data, numbers.read_begin = op.read_begin.data, numbers.read_end = op.read_end.data;
  numbers.parts = static_cast<float*>(workspace);
  numbers.most_parts = parts_of(op.slots);
  return numbers;
}

template <class A>
void decode(Stream& stream, const DecodeAttention& op, void* workspace) {
  const DecodeNumbers<A> numbers = numbers_of<A>(op, workspace);
  launch(stream, DecodePartsKernel<A>{numbers}, Grid{numbers.R * numbers.most_parts, numbers.H});
  launch(stream, DecodeJoinKernel<A>{numbers}, Grid{numbers.R, numbers.H});
}

}  // namespace

std::int64_t decode_workspace_bytes(const DecodeAttention& op) {
  return op.q.rows * op.H * parts_of(op.slots) * (2 + op.v.cols / op.H) * static_cast<std::int64_t>(sizeof(float));
}

void decode_attention(Stream& stream, const DecodeAttention& op, void* workspace) {
  if (op.q.type == DType::float32)
    decode<float>(stream, op, workspace);
  else
    decode<bf16>(stream, op, workspace);
}

}  // namespace longstride::cuda
