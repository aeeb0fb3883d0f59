// How near do our products, which are split so that results do not depend on threads, come to oneDNN called directly
// with all threads? For enwik8's shapes (N 12,288 rows) each of linear, linear_backward_data and
// linear_backward_weights runs in turn with oneDNN's matmul and inner product in their preferred formats, weights
// reordered before the clock starts. gflops counts 2 N K M. ratio: time of the better of oneDNN's two over ours; the
// target is 0.9. On a card, where there is no oneDNN, ratio is that of the rate to its best square product's.
//   products [runs] [rows] [operation, or all] [device]
#include <omp.h>

#include <cmath>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>

#include "harness.h"
#include "ops/backend.h"
#include "ops/buffer.h"
#include "ops/ops.h"
#include "ops/philox.h"

namespace {

using namespace longstride;
using dnnl::memory;
using Format = memory::format_tag;

enum class Kind { forward, data, weights };
const char* word(Kind kind) {
  return kind == Kind::forward ? "linear" : kind == Kind::data ? "linear_backward_data" : "linear_backward_weights";
}

struct Host {
  std::vector<std::uint16_t> bytes;
  Matrix m;
  Host(DType type, std::int64_t rows, std::int64_t cols, std::uint32_t seed)
      : bytes(static_cast<std::size_t>(rows * cols * size_of(type) / 2)), m(matrix(bytes.data(), type, rows, cols)) {
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      const std::uint32_t bits = philox({static_cast<std::uint32_t>(i), seed, 0, 0}, philox_key(1, Purpose::test))[0];
      const float x = 2 * uniform_float(bits) - 1;
      if (type == DType::float32) m.f32()[i] = x;
      if (type == DType::bfloat16) m.bf16()[i] = bfloat16_from_float(x);
    }
  }
};

double at(const Matrix& m, std::int64_t r, std::int64_t c) {
  const std::int64_t i = r * m.stride + c;
  return m.type == DType::float32 ? m.f32()[i] : float_from_bfloat16(m.bf16()[i]);
}

// oneDNN on its own: a primitive with its arguments, those in its preferred formats brought into them.
class Direct {
 public:
  Direct() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}
  const dnnl::engine& engine() const { return engine_; }
  void add(int argument, const memory::desc& from, const memory::desc& to, const Matrix& m) {
    memory plain(from, engine_, m.data);
    if (from == to) {
      arguments_.insert({argument, plain});
      return;
    }
    memory own(to, engine_);
    dnnl::reorder(plain, own).execute(stream_, plain, own);
    arguments_.insert({argument, own});
  }
  void add_scratch(const memory::desc& desc) { arguments_.insert({DNNL_ARG_SCRATCHPAD, memory(desc, engine_)}); }
  void run() {
    primitive.execute(stream_, arguments_);
    stream_.wait();
  }
  dnnl::primitive primitive;

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::unordered_map<int, memory> arguments_;
};

dnnl::primitive_attr own_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

memory::desc desc(const Matrix& m, bool transposed = false) {
  const auto type = m.type == DType::float32 ? memory::data_type::f32 : memory::data_type::bf16;
  if (transposed) return {{m.cols, m.rows}, type, memory::dims{1, m.stride}};
  return {{m.rows, m.cols}, type, Format::ab};
}
memory::desc any(const memory::desc& d) { return {d.dims(), d.data_type(), Format::any}; }

// c = a b
std::unique_ptr<Direct> matmul(const Matrix& a, bool a_transposed, const Matrix& b, bool b_transposed, const Matrix& c,
                               bool prefer_b) {
  auto direct = std::make_unique<Direct>();
  const memory::desc from = desc(b, b_transposed);
  const dnnl::matmul::primitive_desc pd({desc(a, a_transposed), prefer_b ? any(from) : from, desc(c)}, own_scratch(),
                                        direct->engine());
  direct->primitive = dnnl::matmul(pd);
  direct->add(DNNL_ARG_SRC, pd.src_desc(), pd.src_desc(), a);
  direct->add(DNNL_ARG_WEIGHTS, from, pd.weights_desc(), b);
  direct->add(DNNL_ARG_DST, pd.dst_desc(), pd.dst_desc(), c);
  direct->add_scratch(pd.scratchpad_desc());
  return direct;
}

std::unique_ptr<Direct> inner_product(Kind kind, const Matrix& x, const Matrix& w, const Matrix& y) {
  auto direct = std::make_unique<Direct>();
  const dnnl::engine& engine = direct->engine();
  const dnnl::inner_product_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, desc(x), any({desc(w).dims(), desc(x).data_type(), Format::ab}), desc(y)},
      own_scratch(), engine);
  if (kind == Kind::forward) {
    direct->primitive = dnnl::inner_product_forward(forward);
    direct->add(DNNL_ARG_SRC, desc(x), desc(x), x);
    direct->add(DNNL_ARG_WEIGHTS, desc(w), forward.weights_desc(), w);
    direct->add(DNNL_ARG_DST, desc(y), desc(y), y);
    direct->add_scratch(forward.scratchpad_desc());
  } else if (kind == Kind::data) {
    const dnnl::inner_product_backward_data::primitive_desc pd({desc(x), any(desc(w)), desc(y)}, own_scratch(), engine,
                                                               forward);
    direct->primitive = dnnl::inner_product_backward_data(pd);
    direct->add(DNNL_ARG_DIFF_SRC, desc(x), desc(x), x);
    direct->add(DNNL_ARG_WEIGHTS, desc(w), pd.weights_desc(), w);
    direct->add(DNNL_ARG_DIFF_DST, desc(y), desc(y), y);
    direct->add_scratch(pd.scratchpad_desc());
  } else {
    const dnnl::inner_product_backward_weights::primitive_desc pd({desc(x), any(desc(w)), desc(y)}, own_scratch(),
                                                                  engine, forward);
    direct->primitive = dnnl::inner_product_backward_weights(pd);
    direct->add(DNNL_ARG_SRC, desc(x), desc(x), x);
    direct->add(DNNL_ARG_DIFF_WEIGHTS, desc(w), pd.diff_weights_desc(), w);
    direct->add(DNNL_ARG_DIFF_DST, desc(y), desc(y), y);
    direct->add_scratch(pd.scratchpad_desc());
  }
  return direct;
}

// |ours - sum| of a few elements against the sum in double; the program ends with status 1 where one is wrong.
void check(Kind kind, const Matrix& x, const Matrix& w, const Matrix& y, const Matrix& result) {
  const std::int64_t terms = kind == Kind::forward ? x.cols : kind == Kind::data ? y.cols : x.rows;
  for (std::int64_t i = 0; i < 200; ++i) {
    const std::int64_t r = i * 7919 % result.rows, c = i * 104729 % result.cols;
    double want = 0, size = 0;
    for (std::int64_t t = 0; t < terms; ++t) {
      const double term = kind == Kind::forward ? at(x, r, t) * at(w, c, t)
                          : kind == Kind::data  ? at(y, r, t) * at(w, t, c)
                                                : at(y, t, r) * at(x, t, c);
      want += term;
      size += std::abs(term);
    }
    const double bound = static_cast<double>(terms + 2) * 0x1p-24 * size +
                         (result.type == DType::bfloat16 ? 0x1p-8 * std::abs(want) : 0);
    if (std::abs(at(result, r, c) - want) <= bound) continue;
    std::fprintf(stderr, "%s: element (%ld, %ld) is %g, should be %g\n", word(kind), static_cast<long>(r),
                 static_cast<long>(c), at(result, r, c), want);
    std::exit(1);
  }
}

void measure(Backend& backend, Kind kind, DType type, std::int64_t N, std::int64_t K, std::int64_t M, int runs) {
  const Host x(type, N, K, 1), w(type, M, K, 2), y(type, N, M, 3);
  const DType of_result = kind == Kind::weights ? DType::float32 : type;
  const Matrix& shape = kind == Kind::forward ? y.m : kind == Kind::data ? x.m : w.m;
  const Host ours(of_result, shape.rows, shape.cols, 4), theirs(of_result, shape.rows, shape.cols, 5);
  Operation operation = LinearBackwardWeights{y.m, x.m, ours.m, {}};
  if (kind == Kind::forward) operation = Linear{.x = x.m, .w = w.m, .bias = {}, .pre = {}, .y = ours.m};
  if (kind == Kind::data) operation = LinearBackwardData{y.m, w.m, {}, ours.m};
  const std::unique_ptr<Executable> executable = compile_bound(backend, {operation});
  const auto run = [&] { executable->run(); };
  if (kind == Kind::weights) backend.zero(ours.m.data, ours.m.rows * ours.m.cols * 4);
  run();
  check(kind, x.m, w.m, y.m, ours.m);
  const Matrix& out = theirs.m;
  const auto product = kind == Kind::forward ? matmul(x.m, false, w.m, true, out, true)
                       : kind == Kind::data  ? matmul(y.m, false, w.m, false, out, true)
                                             : matmul(y.m, true, x.m, false, out, false);
  const auto layer = kind == Kind::forward ? inner_product(kind, x.m, w.m, out)
                     : kind == Kind::data  ? inner_product(kind, out, w.m, y.m)
                                           : inner_product(kind, x.m, out, y.m);
  const std::vector<bench::Times> times = bench::alternate({run, [&] { product->run(); }, [&] { layer->run(); }}, runs);
  const double gflop = 2e-9 * static_cast<double>(N) * static_cast<double>(K) * static_cast<double>(M);
  const bool second = bench::median(times[2].wall_s) < bench::median(times[1].wall_s);
  const bench::Times& best = second ? times[2] : times[1];
  bench::print(times[0], {{"gflops", gflop / bench::median(times[0].wall_s)},
                          {"ratio", bench::ratio(best.wall_s, times[0].wall_s)},
                          {"ratio_of_processor_time", bench::ratio(best.processor_s, times[0].processor_s)},
                          {"onednn_gflops", gflop / bench::median(best.wall_s)},
                          {"onednn", second ? "inner product" : "matmul"},
                          {"operation", word(kind)},
                          {"type", type == DType::float32 ? "float32" : "bfloat16"},
                          {"N", N},
                          {"K", K},
                          {"M", M}});
}

// Operands of a card, and a result that comes from there.
void measure_on_card(Backend& backend, Kind kind, DType type, std::int64_t N, std::int64_t K, std::int64_t M,
                     int runs) {
  const Host x(type, N, K, 1), w(type, M, K, 2), y(type, N, M, 3);
  const auto bytes = [](const Matrix& m) { return m.rows * m.cols * size_of(m.type); };
  std::vector<Buffer> held;
  const auto on_card = [&](const Matrix& host) {
    held.emplace_back(backend, bytes(host));
    backend.upload(held.back().data(), host.data, bytes(host));
    return matrix(held.back().data(), host.type, host.rows, host.cols);
  };
  const Matrix &shape = kind == Kind::forward ? y.m
                        : kind == Kind::data  ? x.m
                                              : w.m,
               cx = on_card(x.m), cw = on_card(w.m), cy = on_card(y.m);
  const Host result(kind == Kind::weights ? DType::float32 : type, shape.rows, shape.cols, 4);
  const Matrix out = on_card(result.m);
  Operation operation = LinearBackwardWeights{cy, cx, out, {}};
  if (kind == Kind::forward) operation = Linear{.x = cx, .w = cw, .bias = {}, .pre = {}, .y = out};
  if (kind == Kind::data) operation = LinearBackwardData{cy, cw, {}, out};
  const std::unique_ptr<Executable> executable = compile_bound(backend, {operation});
  backend.zero(out.data, bytes(out));
  executable->run();
  backend.download(result.m.data, out.data, bytes(out));
  check(kind, x.m, w.m, y.m, result.m);
  constexpr int kRepeats = 20;
  const auto run = [&] {
    for (int i = 0; i < kRepeats; ++i) executable->run();
    backend.wait();
  };
  std::vector<bench::Times> times = bench::alternate({run}, runs);
  bench::divide(times[0], kRepeats);
  const double rate = static_cast<double>(N * K * M) / bench::median(times[0].wall_s);
  bench::print(times[0], {{"gflops", 2e-9 * rate},
                          {"ratio", rate / backend.product_rate(type)},
                          {"peak_gflops", 2e-9 * backend.product_rate(type)},
                          {"operation", word(kind)},
                          {"type", type == DType::float32 ? "float32" : "bfloat16"},
                          {"device", backend.facts().name},
                          {"N", N},
                          {"K", K},
                          {"M", M}});
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  const int runs = argc > 1 ? std::atoi(argv[1]) : 9;
  const std::int64_t N = argc > 2 ? std::atoll(argv[2]) : 12288;
  const std::string only = argc > 3 && std::string(argv[3]) != "all" ? argv[3] : "";
  if (runs < 1 || N < 1) {
    std::fprintf(stderr, "products [runs] [rows] [operation, or all] [device]: runs and rows need to be at least 1\n");
    return 2;
  }
  const auto backend = make_backend(bench::device_of(argc > 4 ? argv[4] : "auto"));
  const bool on_card = backend->facts().device != "cpu";
  omp_set_num_threads(machine_info().threads);
  const std::int64_t shapes[][2] = {{512, 1536}, {512, 512}, {512, 2048}, {2048, 512}};
  for (const DType type : {DType::float32, DType::bfloat16}) {
    if (type == DType::bfloat16 && !backend->facts().bfloat16) {
      std::fprintf(stderr, "bfloat16 is skipped: this machine has no products of it\n");
      continue;
    }
    for (const auto& [K, M] : shapes) {
      for (const Kind kind : {Kind::forward, Kind::data, Kind::weights}) {
        if (!only.empty() && only != word(kind)) continue;
        (on_card ? measure_on_card : measure)(*backend, kind, type, N, K, M, runs);
      }
    }
  }
  return 0;
}
