// This makes, keeps and runs oneDNN's primitives, and turns oneDNN's errors into the library's.
#include "cpu/product.h"

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "cpu/isa.h"
#include "cpu/plain_product.h"
#include "cpu/threads.h"
#include "longstride/error.h"

namespace longstride::cpu {

namespace {

using dnnl::memory;

// Where oneDNN was used before us it refuses.
void limit_to(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41);  // the least that oneDNN knows
      break;
    case Isa::avx2:
      dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
      break;
    case Isa::avx512:
      dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core);
      break;
    case Isa::avx512_bf16:
      break;  // all that the processor has, AMX too
  }
}

const dnnl::engine& engine() {
  static const dnnl::engine made = [] {
    limit_to(isa());
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return made;
}

memory::data_type type_of(DType type) {
  return type == DType::float32 ? memory::data_type::f32 : memory::data_type::bf16;
}

// Operands of matmul, as oneDNN 2 and oneDNN 3 take them.
template <class... Operands>
dnnl::matmul::primitive_desc describe(const dnnl::primitive_attr& attributes, const Operands&... operands) {
#if DNNL_VERSION_MAJOR < 3
  return {{operands...}, attributes, engine()};
#else
  return {engine(), operands..., attributes};
#endif
}

[[noreturn]] void refuse(const dnnl::error& error) {
  throw Error(error.status == dnnl_out_of_memory ? ErrorKind::exhausted : ErrorKind::unavailable,
              "product: oneDNN cannot make it: " + std::string(error.what()));
}

struct Slot {  // what one thread needs to run a product without making anything
  dnnl::stream stream;
  memory a, b, c, bias, scratch;
};

}  // namespace

struct Product::Parts {
  ProductShape shape;  // a plain one needs nothing else
  dnnl::matmul::primitive_desc desc;
  dnnl::matmul primitive;
  memory::desc plain, bias;
  memory pack_from, pack_to;
  dnnl::reorder reorder;
  std::vector<Slot> slots;
};

ThreadsOfOneDnn::ThreadsOfOneDnn(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
ThreadsOfOneDnn::~ThreadsOfOneDnn() { omp_set_num_threads(before_); }

Product::Product(const ProductShape& shape) : parts_(std::make_unique<Parts>()) {
  const OneThread one;
  Parts& p = *parts_;
  p.shape = shape;
  if (is_plain(shape)) return;
  try {
    const auto type = type_of(shape.type);
    const memory::desc a({shape.m, shape.k}, type, memory::dims{shape.a_row, shape.a_column});
    p.plain = memory::desc({shape.k, shape.n}, type, memory::dims{shape.b_row, shape.b_column});
    const memory::desc b = shape.pack ? memory::desc({shape.k, shape.n}, type, memory::format_tag::any) : p.plain;
    const memory::desc c({shape.m, shape.n}, type_of(shape.result), memory::dims{shape.c_row, 1});
    p.bias = memory::desc({1, shape.n}, memory::data_type::f32, memory::format_tag::ab);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (shape.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1);
      attributes.set_post_ops(sum);
    }
    p.desc = shape.bias ? describe(attributes, a, b, p.bias, c) : describe(attributes, a, b, c);
    p.primitive = dnnl::matmul(p.desc);
    if (shape.pack) {
      p.pack_from = memory(p.plain, engine(), nullptr);
      p.pack_to = memory(p.desc.weights_desc(), engine(), nullptr);
      p.reorder = dnnl::reorder(p.pack_from, p.pack_to);
    }
  } catch (const dnnl::error& error) {
    refuse(error);
  }
}

Product::~Product() = default;

std::int64_t Product::scratch_bytes() const {
  return is_plain(parts_->shape) ? 0 : static_cast<std::int64_t>(parts_->desc.scratchpad_desc().get_size());
}
std::int64_t Product::packed_bytes() const {
  const ProductShape& shape = parts_->shape;
  return is_plain(shape) ? shape.k * shape.n * size_of(shape.type)
                         : static_cast<std::int64_t>(parts_->desc.weights_desc().get_size());
}
bool Product::packs_like(const Product& other) const {
  const ProductShape &shape = parts_->shape, &others = other.parts_->shape;
  if (is_plain(shape) || is_plain(others))
    return is_plain(shape) == is_plain(others) && shape.n == others.n && shape.k == others.k &&
           shape.type == others.type;
  return parts_->desc.weights_desc() == other.parts_->desc.weights_desc();
}

void Product::pack(const void* b, void* packed) {
  Parts& p = *parts_;
  if (is_plain(p.shape)) return pack_plainly(p.shape, b, packed);
  prepare(1);
  const ThreadsOfOneDnn all(team());
  p.pack_from.set_data_handle(const_cast<void*>(b));
  p.pack_to.set_data_handle(packed);
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, p.pack_from.get()}, {DNNL_ARG_TO, p.pack_to.get()}};
  const auto status = dnnl_primitive_execute(p.reorder.get(), p.slots[0].stream.get(), 2, arguments);
  check_ran("product", status == dnnl_success);
}

void Product::prepare(int threads) {
  Parts& p = *parts_;
  if (is_plain(p.shape)) return;
  while (static_cast<int>(p.slots.size()) < threads) {
    p.slots.push_back({dnnl::stream(engine()), memory(p.desc.src_desc(), engine(), nullptr),
                       memory(p.desc.weights_desc(), engine(), nullptr), memory(p.desc.dst_desc(), engine(), nullptr),
                       memory(p.bias, engine(), nullptr), memory(p.desc.scratchpad_desc(), engine(), nullptr)});
  }
}

bool Product::run(int thread, const void* a, const void* b, void* c, const float* bias, void* scratch) const {
  const Parts& p = *parts_;
  if (is_plain(p.shape)) {
    multiply_plainly(p.shape, a, b, c, bias);
    return true;
  }
  const Slot& slot = p.slots[static_cast<std::size_t>(thread)];
  slot.a.set_data_handle(const_cast<void*>(a));
  // Telling oneDNN of a buffer clears its padding: once is enough for the packed weights, which pack has cleared too.
  if (slot.b.get_data_handle() != b) slot.b.set_data_handle(const_cast<void*>(b));
  slot.c.set_data_handle(c);
  slot.scratch.set_data_handle(scratch);
  if (p.shape.bias) slot.bias.set_data_handle(const_cast<float*>(bias));
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, slot.a.get()},
                                       {DNNL_ARG_WEIGHTS, slot.b.get()},
                                       {DNNL_ARG_DST, slot.c.get()},
                                       {DNNL_ARG_SCRATCHPAD, slot.scratch.get()},
                                       {DNNL_ARG_BIAS, slot.bias.get()}};
  return dnnl_primitive_execute(p.primitive.get(), slot.stream.get(), p.shape.bias ? 5 : 4, arguments) == dnnl_success;
}

Product& Products::find(const ProductShape& shape) {
  std::unique_ptr<Product>& product = made_[shape];
  if (product == nullptr) product = std::make_unique<Product>(shape);
  product->prepare(threads());
  return *product;
}

bool native_bfloat16_products() {
  if (isa() != Isa::avx512_bf16) return false;
  engine();
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & dnnl_cpu_isa_avx512_core_bf16) ==
         dnnl_cpu_isa_avx512_core_bf16;
}

void check_ran(const char* operation, bool ran) {
  if (!ran) throw Error(ErrorKind::exhausted, std::string(operation) + ": oneDNN could not run a product of it");
}

}  // namespace longstride::cpu
