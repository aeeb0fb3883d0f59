// Loading a Model, what it is, and its logits (longstride/model.h). Scores are in evaluate/score.cpp, evaluations in
// evaluate/evaluate.cpp, samples in sample/sample.cpp, decodings in model/decoder.cpp.
#include "longstride/model.h"

#include <fmt/format.h>

#include "io/words.h"
#include "longstride/checkpoint.h"
#include "longstride/error.h"
#include "model/held_model.h"

namespace longstride {
namespace {

// So many tokens and the one that follows them are a context at most.
void check_given(const HeldModel& held, std::span<const std::int32_t> tokens) {
  const auto count = static_cast<std::int64_t>(tokens.size()), context = held.model().context;
  if (count >= context) {
    throw_invalid(
        fmt::format("logits: needs at most {} tokens, got {} (the model's context is {}, of which the last "
                    "is only predicted)",
                    with_commas(context - 1), with_commas(count), with_commas(context)));
  }
  held.check_tokens("logits", tokens);
}

}  // namespace

Model::Model(const ModelOptions& options) {
  check_device(options.device);
  held_ = with_checkpoint(options.run, options.checkpoint,
                          [&](const std::string& path) { return std::make_shared<HeldModel>(path, options.device); });
  held_->type = held_->type_as_trained(options.precision);
}

Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

const Config& Model::config() const { return held_->config(); }
const std::string& Model::path() const { return held_->loaded.path; }
std::int64_t Model::step() const { return held_->loaded.step; }
std::int64_t Model::parameters() const { return held_->loaded.table.count(); }
std::string Model::device() const { return held_->backend->facts().device; }
Precision Model::precision() const { return held_->type == DType::bfloat16 ? Precision::bfloat16 : Precision::float32; }

std::vector<float> Model::logits(std::span<const std::int32_t> tokens) {
  check_given(*held_, tokens);
  std::vector<std::int32_t> positions(tokens.begin(), tokens.end());
  positions.push_back(0);  // the token that is only predicted: nothing reads it
  Pass pass;
  pass.tokens = positions.data();
  return held_->network(1, static_cast<std::int64_t>(positions.size()), held_->type).logits(pass);
}

std::vector<float> Model::next_logits(std::span<const std::int32_t> tokens, const std::atomic<bool>* stop) {
  check_given(*held_, tokens);
  Decoder decoder(*this, {.sequences = 1, .length = static_cast<std::int64_t>(tokens.size()) + 1});
  Decoder::Sequence sequence = decoder.join();
  const std::span<const float> logits = sequence.read(tokens, stop);
  if (logits.empty()) throw Error(ErrorKind::stopped, "logits: stopped before all tokens were read");
  return {logits.begin(), logits.end()};
}

}  // namespace longstride
