// AttentionView of longstride/attention.h: from a checkpoint and a file to rows of probabilities.
#include "longstride/attention.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "data/tokens_of_file.h"
#include "io/words.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "longstride/model.h"
#include "model/held_model.h"

namespace longstride {
namespace {

void check_list(const char* what, const std::vector<std::int64_t>& list, std::int64_t count) {
  if (list.empty()) throw_invalid(fmt::format("attention: needs {} to look at, got none", what));
  for (const std::int64_t at : list) {
    if (at < 0 || at >= count) {
      throw_invalid(fmt::format("attention: {} lie in [0, {}], got {}", what, with_commas(count - 1), at));
    }
  }
}

// (T, H, D) of the first sequence in host memory, dense.
std::vector<float> on_host(Backend& backend, const Heads& x) {
  std::vector<float> values(static_cast<std::size_t>(x.T * x.H * x.D));
  for (std::int64_t row = 0; row < x.T * x.H; ++row) {
    backend.download(values.data() + row * x.D, x.f32() + x.offset(0, row / x.H, row % x.H), x.D * 4);
  }
  return values;
}

// One block's attention, of one sequence, in host memory.
struct Looked {
  Looked(Backend& backend, const Attention& attention)
      : T(attention.T),
        width(attention.H * attention.q.D),
        D(attention.q.D),
        scale(attention.scale),
        q(on_host(backend, attention.q)),
        k(on_host(backend, attention.k)),
        lse(static_cast<std::size_t>(attention.H * attention.T)) {
    backend.download(lse.data(), attention.lse.data, attention.H * attention.T * 4);
  }

  // p_j = exp(scale q . k_j - lse), in double from the pass's float32.
  double p(std::int64_t head, std::int64_t query, std::int64_t key) const {
    const float* a = q.data() + query * width + head * D;
    const float* b = k.data() + key * width + head * D;
    double score = 0;
    for (std::int64_t d = 0; d < D; ++d) score += double{a[d]} * double{b[d]};
    return std::exp(double{scale} * score - double{lse[static_cast<std::size_t>(head * T + query)]});
  }

  std::int64_t T, width, D;
  float scale;
  std::vector<float> q, k;  // (T, H * D)
  std::vector<float> lse;   // (H, T)
};

// Scores that are too far apart for float32, as those of a run that has diverged, leave numbers that are none, or none
// at all.
void require_probabilities(const std::vector<double>& p, std::int64_t layer, std::int64_t head, std::int64_t query) {
  constexpr double kRounding = 0.05;  // of scores of some thousands, whose difference from the logarithm is float32
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  if (p.empty() || std::abs(sum - 1) <= kRounding) return;  // a query may read no key
  throw Error(ErrorKind::diverged,
              fmt::format("attention: the probabilities of layer {}, head {}, query {} sum to {:.3g} and not to 1: the "
                          "model's values overflow, another checkpoint may be sound",
                          layer, head, query, sum));
}

}  // namespace

struct AttentionView::State {
  State(std::shared_ptr<HeldModel> of, const AttentionOptions& asked)
      : options(asked),
        held(std::move(of)),
        tokens(asked.input.empty() ? asked.tokens
                                   : tokens_of_file(asked.input, held->config().data, held->model().context)) {
    const ModelConfig& model = held->model();
    const std::string name = asked.input.empty() ? "the input" : fmt::format("\"{}\"", asked.input);
    if (tokens.empty()) throw_invalid(fmt::format("attention: {} has no tokens", name));
    held->check_tokens("attention: " + name, std::vector<std::int32_t>(tokens.begin(), tokens.end()));
    if (static_cast<std::int64_t>(tokens.size()) > model.context) {
      throw_invalid(fmt::format("attention: {} is {} tokens, the model's context is {}", name,
                                with_commas(static_cast<std::int64_t>(tokens.size())), with_commas(model.context)));
    }
    network = std::make_unique<Network>(*held->backend, model,
                                        NetworkShape{1, static_cast<std::int64_t>(tokens.size()), DType::float32},
                                        held->weights(DType::float32));
  }

  AttentionOptions options;
  std::shared_ptr<HeldModel> held;
  std::vector<std::uint8_t> tokens;
  std::unique_ptr<Network> network;
};

AttentionView::AttentionView(const AttentionOptions& options)
    : state_(std::make_unique<State>(
          std::make_shared<HeldModel>(find_checkpoint(options.run, options.checkpoint), Device::automatic), options)) {}
AttentionView::AttentionView(Model& model, const AttentionOptions& options)
    : state_(std::make_unique<State>(model.held_, options)) {}
AttentionView::~AttentionView() = default;

const Config& AttentionView::config() const { return state_->held->config(); }
const std::string& AttentionView::checkpoint() const { return state_->held->loaded.path; }
std::int64_t AttentionView::step() const { return state_->held->loaded.step; }
const std::vector<std::uint8_t>& AttentionView::tokens() const { return state_->tokens; }

Pattern AttentionView::pattern(std::int64_t layer, std::int64_t head) const {
  return config().model.attention.head(layer, head);
}

void AttentionView::rows(const std::vector<std::int64_t>& layers, const std::vector<std::int64_t>& heads,
                         const std::vector<std::int64_t>& queries,
                         const std::function<void(const AttentionRow&)>& row) const {
  check_list("layers", layers, config().model.layers);
  check_list("heads", heads, config().model.heads);
  check_list("queries", queries, static_cast<std::int64_t>(tokens().size()));
  Backend& backend = *state_->held->backend;
  std::vector<std::int64_t> keys;
  std::vector<double> p;
  const auto look = [&](std::int64_t layer, const Attention& attention) {
    if (std::find(layers.begin(), layers.end(), layer) == layers.end()) return;
    const Looked looked(backend, attention);
    for (const std::int64_t head : heads) {
      for (const std::int64_t query : queries) {
        if (state_->options.stop != nullptr && state_->options.stop->load()) {
          throw Error(ErrorKind::stopped, "attention: stopped before all was looked at");
        }
        keys.clear();
        list_keys(attention.tilings[head]->pattern(), query, keys);
        p.clear();
        for (const std::int64_t key : keys) p.push_back(looked.p(head, query, key));
        require_probabilities(p, layer, head, query);
        row({layer, head, query, keys, p});
      }
    }
  };
  const std::vector<std::int32_t> input(tokens().begin(), tokens().end());
  Pass pass;
  pass.tokens = input.data();
  state_->network->watch(pass, look);
}

}  // namespace longstride
