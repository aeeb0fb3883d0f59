// How near does attention come to the machine's best product? Forward, and forward with backward, run in turn with
// oneDNN's product of square matrices (weights in its own layout) of the same number format; a share is the rate of the
// multiply-adds that the definition needs over that product's rate, of pairs of runs next to each other, their median.
// Needed: forward, for every pair (i, j) that attends, Dq for the score and Dv for the output; backward 2 Dq (dq, dk)
// and 2 Dv (dv, dP): with the forward pass 3 Dq + 3 Dv. Scores computed again by the backward pass do not count.
// What is shorter than kSampleSeconds is repeated within a run: its inputs then lie in the caches as far as they fit,
// as they do in a training step, where a product has just made them. `--repeats 1`: each follows oneDNN's product,
// which leaves the caches full of its own 24 MB. On a card (`--device cuda`) the product is its best one, taken once,
// and what is timed is a run of operations until the last one is done.
//   attention --pattern "fixed(128,32)" --length 12288 --heads 8 --width 64 --value-width 64 --precision bfloat16
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <oneapi/dnnl/dnnl.hpp>

#include "harness.h"
#include "longstride/error.h"
#include "ops/backend.h"
#include "ops/ops.h"
#include "ops/philox.h"

namespace {

using namespace longstride;

constexpr double kSampleSeconds = 0.02;

struct Options {
  std::string pattern = "fixed(128,32)", precision = "bfloat16", device = "auto";
  std::int64_t length = 12288, heads = 8, width = 64, value_width = 0, batch = 1;
  int runs = 11, repeats = 0;  // of an operation in a run; 0: for kSampleSeconds
};

// Uniform in [-1, 1), or nothing in particular.
Matrix random_matrix(Backend& backend, DType type, std::int64_t rows, std::int64_t cols, std::uint32_t seed) {
  const std::int64_t bytes = rows * cols * size_of(type);
  std::vector<std::uint16_t> host(static_cast<std::size_t>(bytes / 2));
  const Matrix m = matrix(host.data(), type, rows, cols);
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    const std::uint32_t bits = philox({static_cast<std::uint32_t>(i), seed, 0, 0}, philox_key(1, Purpose::test))[0];
    const float x = 2 * uniform_float(bits) - 1;
    if (type == DType::float32)
      m.f32()[i] = x;
    else
      m.bf16()[i] = bfloat16_from_float(x);
  }
  void* const memory = backend.allocate(bytes);
  backend.upload(memory, host.data(), bytes);
  return matrix(memory, type, rows, cols);
}

// Operands that are looked at, in the host's memory.
class OnHost {
 public:
  explicit OnHost(Backend& backend) : backend_(backend) {}
  Heads copy(Heads m) {
    m.data = copied(m.data, (m.offset(m.B - 1, m.T - 1, m.H - 1) + m.D) * size_of(m.type));
    return m;
  }
  Array<float> copy(Array<float> m) {
    m.data = static_cast<float*>(copied(m.data, m.count * 4));
    return m;
  }

 private:
  void* copied(const void* from, std::int64_t bytes) {
    held_.emplace_back(static_cast<std::size_t>(bytes));
    backend_.download(held_.back().data(), from, bytes);
    return held_.back().data();
  }
  Backend& backend_;
  std::vector<std::vector<std::byte>> held_;
};

// Of the first sequence.
double at(const Heads& m, std::int64_t t, std::int64_t h, std::int64_t d) {
  const std::int64_t i = m.offset(0, t, h) + d;
  return m.type == DType::float32 ? m.f32()[i] : float_from_bfloat16(m.bf16()[i]);
}

// What is timed: q, k and v are columns of one matrix, as a network has them. Never freed.
struct Problem {
  std::int64_t Dq, Dv;
  std::vector<Tiling> tilings;
  std::vector<const Tiling*> pointers;
  std::int64_t pairs = 0;
  AttentionBackward op;

  Problem(Backend& backend, const Options& options, DType type) : Dq(options.width), Dv(options.value_width) {
    const std::int64_t H = options.heads, T = options.length, N = options.batch * T;
    for (std::int64_t h = 0; h < H; ++h) {
      const Pattern pattern = for_head(parse_pattern(options.pattern), h);
      tilings.emplace_back(pattern, T);
      pairs += options.batch * count_pairs(pattern, T);
    }
    for (const Tiling& tiling : tilings) pointers.push_back(&tiling);
    const Matrix qkv = random_matrix(backend, type, N, H * (2 * Dq + Dv), 1);
    const Matrix dqkv = random_matrix(backend, type, N, H * (2 * Dq + Dv), 2);
    const auto of = [&](const Matrix& m) { return heads(m, options.batch, T, H); };
    op.forward = {options.batch,
                  T,
                  H,
                  pointers.data(),
                  static_cast<float>(4 / std::sqrt(static_cast<double>(Dq))),
                  of(qkv.columns(0, H * Dq)),
                  of(qkv.columns(H * Dq, H * Dq)),
                  of(qkv.columns(2 * H * Dq, H * Dv)),
                  of(random_matrix(backend, type, N, H * Dv, 3)),
                  array(static_cast<float*>(backend.allocate(N * H * 4)), N * H)};
    op.dout = of(random_matrix(backend, type, N, H * Dv, 4));
    op.dq = of(dqkv.columns(0, H * Dq));
    op.dk = of(dqkv.columns(H * Dq, H * Dq));
    op.dv = of(dqkv.columns(2 * H * Dq, H * Dv));
  }
};

[[noreturn]] void wrong(const char* what, std::int64_t head, std::int64_t position, double got, double wanted) {
  std::fprintf(stderr, "%s of head %ld, position %ld is %g, should be %g\n", what, static_cast<long>(head),
               static_cast<long>(position), got, wanted);
  std::exit(1);
}

// One channel of out and dv of a few positions of the first sequence, against sums in double. Probabilities of keys'
// readers take the lse that was computed.
void check(Backend& backend, const Problem& problem, double rounding) {
  OnHost host(backend);
  Attention op = problem.op.forward;
  for (Heads* one : {&op.q, &op.k, &op.v, &op.out}) *one = host.copy(*one);
  op.lse = host.copy(op.lse);
  const Heads dout = host.copy(problem.op.dout), computed_dv = host.copy(problem.op.dv);
  const auto score = [&](std::int64_t h, std::int64_t i, std::int64_t j) {
    double sum = 0;
    for (std::int64_t d = 0; d < problem.Dq; ++d) sum += at(op.q, i, h, d) * at(op.k, j, h, d);
    return op.scale * sum;
  };
  for (std::int64_t sample = 0; sample < 16; ++sample) {
    const std::int64_t h = sample % op.H, i = (sample * 7919 + op.T / 2) % op.T, d = sample % problem.Dv;
    const Pattern& pattern = problem.tilings[static_cast<std::size_t>(h)].pattern();
    double sum = 0, out = 0, absolute = 0;
    std::vector<std::int64_t> keys;
    list_keys(pattern, i, keys);
    for (const std::int64_t j : keys) {
      const double p = std::exp(score(h, i, j));
      sum += p, out += p * at(op.v, j, h, d), absolute += p * std::abs(at(op.v, j, h, d));
    }
    if (!keys.empty()) out /= sum, absolute /= sum;
    const double got = at(op.out, i, h, d);
    if (!(std::abs(got - out) <= rounding * absolute)) wrong("out", h, i, got, out);
    double dv = 0;
    absolute = 0;
    for (std::int64_t reader = i; reader < op.T; ++reader) {
      if (!attends(pattern, reader, i)) continue;
      const double term = std::exp(score(h, reader, i) - op.lse[h * op.T + reader]) * at(dout, reader, h, d);
      dv += term, absolute += std::abs(term);
    }
    const double got_dv = at(computed_dv, i, h, d);
    if (!(std::abs(got_dv - dv) <= rounding * absolute)) wrong("dv", h, i, got_dv, dv);
  }
}

// oneDNN's product of square matrices.
class Peak {
 public:
  explicit Peak(bool bfloat16) : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using dnnl::memory;
    const auto type = bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::desc plain({kSize, kSize}, type, memory::format_tag::ab),
        any({kSize, kSize}, type, memory::format_tag::any);
    const dnnl::matmul::primitive_desc described({plain, any, plain}, engine_);
    product_ = dnnl::matmul(described);
    arguments_ = {{DNNL_ARG_SRC, memory(described.src_desc(), engine_)},
                  {DNNL_ARG_WEIGHTS, memory(described.weights_desc(), engine_)},
                  {DNNL_ARG_DST, memory(described.dst_desc(), engine_)}};
    for (auto& [argument, m] : arguments_)
      std::fill_n(static_cast<char*>(m.get_data_handle()), m.get_desc().get_size(), '\0');
  }
  void run() {
    product_.execute(stream_, arguments_);
    stream_.wait();
  }
  static constexpr std::int64_t kSize = 2048;
  static constexpr double kGflop = 2e-9 * kSize * kSize * kSize;

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul product_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

void measure(const Options& options) {
  const bool bfloat16 = options.precision == "bfloat16";
  const auto backend = make_backend(bench::device_of(options.device));
  const Problem problem(*backend, options, bfloat16 ? DType::bfloat16 : DType::float32);
  const std::unique_ptr<Executable> attention = compile_bound(*backend, {problem.op.forward});
  const std::unique_ptr<Executable> with_backward = compile_bound(*backend, {problem.op.forward, problem.op});
  const auto forward = [&] { attention->run(); };
  const auto both = [&] { with_backward->run(); };
  both();
  check(*backend, problem, bfloat16 ? 0.02 : 2e-5);
  int repeats = options.repeats;
  if (repeats == 0) {
    const auto once = [&] { both(), backend->wait(); };
    const double one = bench::median(bench::alternate({once}, 3)[0].wall_s);
    repeats = static_cast<int>(std::clamp(std::ceil(kSampleSeconds / one), 1.0, 1000.0));
  }
  const auto repeated = [repeats, &backend](const auto& operation) {
    return [repeats, &operation, &backend] {
      for (int i = 0; i < repeats; ++i) operation();
      backend->wait();
    };
  };

  omp_set_num_threads(machine_info().threads);  // oneDNN's
  Peak peak(bfloat16 && machine_info().bfloat16);
  const bool on_card = backend->facts().device != "cpu";
  const auto product = [&] {
    if (!on_card) peak.run();
  };
  std::vector<bench::Times> times = bench::alternate({repeated(forward), product, repeated(both)}, options.runs);
  bench::divide(times[0], repeats);
  bench::divide(times[2], repeats);
  if (on_card) {  // as long as such a product would take
    const double rate = backend->product_rate(bfloat16 ? DType::bfloat16 : DType::float32);
    times[1].wall_s.assign(times[1].wall_s.size(), Peak::kGflop / (2e-9 * rate));
  }
  const double multiply_adds = static_cast<double>(problem.pairs) * static_cast<double>(problem.Dq + problem.Dv);
  const double forward_s = bench::median(times[0].wall_s), both_s = bench::median(times[2].wall_s);
  const double products = 2e-9 * multiply_adds / Peak::kGflop;
  bench::print(times[2], {{"forward_s", forward_s},
                          {"forward_backward_s", both_s},
                          {"multiply_adds", multiply_adds},
                          {"peak_gflops", Peak::kGflop / bench::median(times[1].wall_s)},
                          {"forward_share", products * bench::ratio(times[1].wall_s, times[0].wall_s)},
                          {"forward_backward_share", 3 * products * bench::ratio(times[1].wall_s, times[2].wall_s)},
                          {"repeats", repeats},
                          {"pattern", options.pattern},
                          {"length", options.length},
                          {"batch", options.batch},
                          {"heads", options.heads},
                          {"width", options.width},
                          {"value_width", problem.Dv},
                          {"device", backend->facts().name},
                          {"precision", options.precision}});
}

}  // namespace

int main(int argc, char** argv) {
  bench::refuse_debug_build();
  CLI::App app("Time of sparse attention as a share of the machine's best product");
  Options options;
  const auto positive = CLI::Range(std::int64_t{1}, std::int64_t{1} << 40);
  app.add_option("--pattern", options.pattern);
  app.add_option("--length", options.length)->check(positive);
  app.add_option("--heads", options.heads)->check(positive);
  app.add_option("--width", options.width, "channels of a head's queries and keys")->check(CLI::Range(1, 256));
  app.add_option("--value-width", options.value_width, "of its values; as --width if not given")
      ->check(CLI::Range(1, 256));
  app.add_option("--batch", options.batch)->check(positive);
  app.add_option("--precision", options.precision)->check(CLI::IsMember({"float32", "bfloat16"}));
  app.add_option("--device", options.device, "auto, cpu, cuda or cuda:K");
  app.add_option("--runs", options.runs)->check(CLI::Range(1, 1000));
  app.add_option("--repeats", options.repeats, "of an operation in a run; 0: as many as take 20 ms")
      ->check(CLI::Range(0, 1000));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  if (options.value_width == 0) options.value_width = options.width;
  try {
    measure(options);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.kind() == ErrorKind::invalid_argument ? 2 : 1;
  }
  return 0;
}
