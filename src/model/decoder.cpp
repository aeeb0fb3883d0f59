#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "longstride/error.h"
#include "model/hashes.h"

namespace longstride {
namespace {

// Adds the pattern where it is not there yet.
std::int64_t index_of(std::vector<Pattern>& patterns, const Pattern& pattern) {
  const std::int64_t index = std::find(patterns.begin(), patterns.end(), pattern) - patterns.begin();
  if (index == static_cast<std::int64_t>(patterns.size())) patterns.push_back(pattern);
  return index;
}

void check_shape(const ModelConfig& model, const DecoderShape& shape) {
  check(model);
  if (shape.sequences < 1) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("decoder: needs at least 1 sequence, got {}", shape.sequences));
  }
  if (shape.length < 1 || shape.length > model.context) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("decoder: needs a length of 1 to {} positions, got {} (the model's context is {})",
                            model.context, shape.length, model.context));
  }
}

}  // namespace

DecoderMemory::DecoderMemory(const ModelConfig& model, const DecoderShape& shape) {
  check_shape(model, shape);
  const auto cycle = std::min(static_cast<std::int64_t>(model.attention.blocks.size()), model.layers);
  for (std::int64_t block = 0; block < cycle; ++block) {
    std::vector<std::int32_t>& group_of = groups.emplace_back();
    std::int64_t total = 0;
    for (std::int64_t head = 0; head < model.heads; ++head) {
      const std::int64_t index = index_of(patterns, model.attention.head(block, head));
      if (index == static_cast<std::int64_t>(layouts.size())) layouts.emplace_back(patterns.back(), shape.length);
      group_of.push_back(static_cast<std::int32_t>(index));
      total += layouts[static_cast<std::size_t>(index)].slots();
    }
    slots.push_back(total);
  }
  for (const Pattern& pattern : patterns) {
    most_writes += static_cast<std::int64_t>(pattern.parts.size()) + 1;  // a ring and one store for each other part
    most_reads += max_keys(pattern, shape.length);
  }
  const std::int64_t B = shape.sequences, C = model.width, A = size_of(shape.type);
  const auto add = [&](const char* name, std::int64_t bytes) { return plan.add(name, bytes, 0, 0); };
  const auto G = static_cast<std::int64_t>(patterns.size());
  for (std::int64_t block = 0; block < model.layers; ++block) {
    const std::int64_t rows = B * slots[static_cast<std::size_t>(block % cycle)];
    keys.push_back(add("decoder cache", rows * model.query_head() * A));
    values.push_back(add("decoder cache", rows * model.value_head() * A));
  }
  const char* name = "decoder activations";
  recent = std::max(model.convolution + 1, model.hash_orders.empty() ? 0 : model.hash_orders.back());
  tokens = add(name, B * recent * 4);
  hash_rows = add(name, B * static_cast<std::int64_t>(model.hash_orders.size()) * 4);
  h = add(name, B * C * 4);
  mean = add(name, B * 4);
  rstd = add(name, B * 4);
  y = add(name, B * C * A);
  qkv = add(name, B * (2 * model.query_width() + C) * A);
  attended = add(name, B * C * A);
  branch = add(name, B * C * A);
  hidden = add(name, B * model.hidden_width() * A);
  logits = add(name, B * model.vocabulary * 4);
  first_slot = add(name, cycle * model.heads * 8);
  group = add(name, cycle * model.heads * 4);
  write = add(name, most_writes * 4);
  write_begin = add(name, (G + 1) * 8);
  read = add(name, most_reads * 4);
  read_begin = add(name, (G + 1) * 8);
  plan.lay_out();
}

std::vector<std::pair<std::string, std::int64_t>> Decoder::memory(const ModelConfig& model, const DecoderShape& shape) {
  const DecoderMemory needed(model, shape);
  std::vector<std::pair<std::string, std::int64_t>> parts;
  for (std::size_t buffer = 0; buffer < needed.plan.count(); ++buffer) {
    const std::string& name = needed.plan.name(buffer);
    if (parts.empty() || parts.back().first != name) parts.emplace_back(name, 0);
    parts.back().second += needed.plan.bytes(buffer);
  }
  return parts;
}

std::int64_t Decoder::bytes(const ModelConfig& model, const DecoderShape& shape) {
  return DecoderMemory(model, shape).plan.total_bytes();
}

Decoder::Decoder(Backend& backend, const ModelConfig& model, const DecoderShape& shape)
    : backend_(backend),
      model_(model),
      shape_(shape),
      table_(model),
      memory_(model, shape),
      arena_(backend, memory_.plan.total_bytes()),
      logits_(static_cast<std::size_t>(shape.sequences * model.vocabulary)) {
  hash_rows_.resize(static_cast<std::size_t>(shape.sequences) * model.hash_orders.size());
  tokens_.assign(static_cast<std::size_t>(shape.sequences * memory_.recent), -1);
  write_.reserve(static_cast<std::size_t>(memory_.most_writes));
  read_.reserve(static_cast<std::size_t>(memory_.most_reads));
  load_heads();
  const Weights none{&table_, nullptr, nullptr};  // shapes are all that the workspace depends on
  const BlockOffsets& block = table_.blocks.front();
  std::int64_t workspace = 0;
  for (const Linear& op : {qkv_product(none, block), projection_product(none, block), expand_product(none, block),
                           contract_product(none, block), output_product(none)}) {
    workspace = std::max(workspace, backend.workspace_bytes(op));
  }
  backend.reserve_workspace(workspace);
}

// Where each head's slots begin and which lists it uses: the same at every step.
void Decoder::load_heads() {
  std::vector<std::int64_t> first;
  std::vector<std::int32_t> group;
  for (const std::vector<std::int32_t>& heads : memory_.groups) {
    std::int64_t at = 0;
    for (const std::int32_t index : heads) {
      first.push_back(at);
      group.push_back(index);
      at += memory_.layouts[static_cast<std::size_t>(index)].slots();
    }
  }
  backend_.upload(at(memory_.first_slot), first.data(), static_cast<std::int64_t>(first.size()) * 8);
  backend_.upload(at(memory_.group), group.data(), static_cast<std::int64_t>(group.size()) * 4);
}

void* Decoder::at(std::size_t buffer) const { return static_cast<char*>(arena_.data()) + memory_.plan.offset(buffer); }

Matrix Decoder::activation(std::size_t buffer, std::int64_t cols) const {
  return matrix(at(buffer), shape_.type, shape_.sequences, cols);
}

Matrix Decoder::floats(std::size_t buffer, std::int64_t cols) const {
  return matrix(at(buffer), DType::float32, shape_.sequences, cols);
}

// bias < 0: none.
Linear Decoder::product(const Weights& w, Matrix x, std::int64_t weight, std::int64_t bias, Matrix y) const {
  Linear op;
  op.x = x;
  op.w = w.matrix(weight, y.cols, x.cols, shape_.type);
  if (bias >= 0) op.bias = w.vector(bias);
  op.y = y;
  return op;
}

Linear Decoder::qkv_product(const Weights& w, const BlockOffsets& block) const {
  return product(w, activation(memory_.y, model_.width), block.qkv_weight, block.qkv_bias,
                 activation(memory_.qkv, 2 * model_.query_width() + model_.width));
}

Linear Decoder::projection_product(const Weights& w, const BlockOffsets& block) const {
  return product(w, activation(memory_.attended, model_.width), block.projection_weight, block.projection_bias,
                 activation(memory_.branch, model_.width));
}

Linear Decoder::expand_product(const Weights& w, const BlockOffsets& block) const {
  Linear op = product(w, activation(memory_.y, model_.width), block.expand_weight, block.expand_bias,
                      activation(memory_.hidden, model_.hidden_width()));
  op.activation = Activation::gelu_sigmoid;
  return op;
}

Linear Decoder::contract_product(const Weights& w, const BlockOffsets& block) const {
  return product(w, activation(memory_.hidden, model_.hidden_width()), block.contract_weight, block.contract_bias,
                 activation(memory_.branch, model_.width));
}

Linear Decoder::output_product(const Weights& w) const {
  return product(w, activation(memory_.y, model_.width), table_.output_weight, -1,
                 floats(memory_.logits, model_.vocabulary));
}

DecodeAttention Decoder::attention_of(std::int64_t block) const {
  const auto cycled = static_cast<std::size_t>(block) % memory_.groups.size();
  const std::int64_t Cq = model_.query_width(), first_head = static_cast<std::int64_t>(cycled) * model_.heads;
  const Matrix qkv = activation(memory_.qkv, 2 * Cq + model_.width);
  DecodeAttention op;
  op.B = shape_.sequences;
  op.H = model_.heads;
  op.slots = memory_.slots[cycled];
  op.scale = 1 / std::sqrt(static_cast<float>(model_.query_head()));
  op.q = qkv.columns(0, Cq);
  op.k = qkv.columns(Cq, Cq);
  op.v = qkv.columns(2 * Cq, model_.width);
  op.out = activation(memory_.attended, model_.width);
  op.keys = at(memory_.keys[static_cast<std::size_t>(block)]);
  op.values = at(memory_.values[static_cast<std::size_t>(block)]);
  op.first_slot = static_cast<const std::int64_t*>(at(memory_.first_slot)) + first_head;
  op.groups = static_cast<std::int64_t>(memory_.patterns.size());
  op.group = static_cast<const std::int32_t*>(at(memory_.group)) + first_head;
  op.write = static_cast<const std::int32_t*>(at(memory_.write));
  op.write_begin = static_cast<const std::int64_t*>(at(memory_.write_begin));
  op.read = static_cast<const std::int32_t*>(at(memory_.read));
  op.read_begin = static_cast<const std::int64_t*>(at(memory_.read_begin));
  return op;
}

// The slot lists of position_, once a distinct pattern.
void Decoder::load_slots() {
  write_.clear();
  read_.clear();
  write_begin_.assign(1, 0);
  read_begin_.assign(1, 0);
  for (const CacheLayout& layout : memory_.layouts) {
    layout.write_slots(position_, write_);
    layout.read_slots(position_, read_);
    write_begin_.push_back(static_cast<std::int64_t>(write_.size()));
    read_begin_.push_back(static_cast<std::int64_t>(read_.size()));
  }
  const auto upload = [&](std::size_t buffer, const auto& values) {
    const auto bytes = static_cast<std::int64_t>(values.size() * sizeof values[0]);
    if (bytes > 0) backend_.upload(at(buffer), values.data(), bytes);
  };
  upload(memory_.write, write_);
  upload(memory_.read, read_);
  upload(memory_.write_begin, write_begin_);
  upload(memory_.read_begin, read_begin_);
}

// h += branch where asked; y = norm(h).
ResidualNorm Decoder::norm(const Weights& w, std::int64_t weight, std::int64_t bias, float eps, bool add_branch) const {
  ResidualNorm op;
  op.h_in = floats(memory_.h, model_.width);
  if (add_branch) op.branch = activation(memory_.branch, model_.width);
  op.h_out = op.h_in;
  op.weight = w.vector(weight);
  op.bias = w.vector(bias);
  op.eps = eps;
  op.y = activation(memory_.y, model_.width);
  op.mean = static_cast<float*>(at(memory_.mean));
  op.rstd = static_cast<float*>(at(memory_.rstd));
  return op;
}

void Decoder::add_block(const Weights& w, std::int64_t block) {
  const BlockOffsets& offsets = table_.blocks[static_cast<std::size_t>(block)];
  program_.emplace_back(norm(w, offsets.attention_norm_weight, offsets.attention_norm_bias, kNormEps, block > 0));
  program_.emplace_back(qkv_product(w, offsets));
  program_.emplace_back(attention_of(block));
  program_.emplace_back(projection_product(w, offsets));
  program_.emplace_back(norm(w, offsets.feedforward_norm_weight, offsets.feedforward_norm_bias, kNormEps, true));
  program_.emplace_back(expand_product(w, offsets));
  program_.emplace_back(contract_product(w, offsets));
}

// Every step runs the same operations: only the position of the embedding and the slot lists differ.
void Decoder::write_program(const Weights& w) {
  if (!program_.empty() && written_for_.f32 == w.f32 && written_for_.bf16 == w.bf16) return;
  program_.clear();
  Embed embedding = embedding_of(model_, w);
  embedding.B = shape_.sequences;
  embedding.T = 1;
  embedding.history = memory_.recent - 1;
  embedding.tokens_stride = memory_.recent;
  embedding.tokens = static_cast<const std::int32_t*>(at(memory_.tokens)) + embedding.history;
  embedding.hash_rows = static_cast<const std::int32_t*>(at(memory_.hash_rows));
  embedding.out = floats(memory_.h, model_.width);
  program_.emplace_back(embedding);
  for (std::int64_t block = 0; block < model_.layers; ++block) add_block(w, block);
  program_.emplace_back(norm(w, table_.final_norm_weight, table_.final_norm_bias, kFinalNormEps, true));
  program_.emplace_back(output_product(w));
  written_for_ = w;
}

void Decoder::assume(std::int64_t position) {
  if (position < 0 || position >= shape_.length) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("decoder: needs a position of 0 to {}, got {}", shape_.length - 1, position));
  }
  if (position > position_) {
    for (const std::size_t buffer : memory_.keys) backend_.zero(at(buffer), memory_.plan.bytes(buffer));
    for (const std::size_t buffer : memory_.values) backend_.zero(at(buffer), memory_.plan.bytes(buffer));
  }
  position_ = position;
}

// Takes in the token before each sequence's position_, and the rows of hash embeddings.
void Decoder::load_tokens(const std::int32_t* tokens_before) {
  const std::int64_t B = shape_.sequences, recent = memory_.recent;
  if (position_ == 0) std::fill(tokens_.begin(), tokens_.end(), -1);
  for (std::int64_t b = 0; b < B; ++b) {
    std::int32_t* row = tokens_.data() + b * recent;
    std::copy(row + 1, row + recent, row);
    row[recent - 1] = tokens_before[b];
    hash_rows(model_, row + recent, position_, hash_rows_.data() + b, B);
  }
  backend_.upload(at(memory_.tokens), tokens_.data(), B * recent * 4);
  if (!hash_rows_.empty())
    backend_.upload(at(memory_.hash_rows), hash_rows_.data(), static_cast<std::int64_t>(hash_rows_.size()) * 4);
}

const float* Decoder::step(const Weights& weights, const std::int32_t* tokens_before) {
  const std::int64_t B = shape_.sequences;
  if (position_ >= shape_.length) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("decoder: position {} is beyond its length of {}", position_, shape_.length));
  }
  for (std::int64_t b = 0; b < B; ++b) {
    const std::int64_t lowest = position_ == 0 ? -1 : 0, highest = position_ == 0 ? -1 : model_.vocabulary - 1;
    if (tokens_before[b] < lowest || tokens_before[b] > highest) {
      throw Error(ErrorKind::invalid_argument,
                  fmt::format("decoder: position {} needs a token before it in [{}, {}], got {}", position_, lowest,
                              highest, tokens_before[b]));
    }
  }
  load_tokens(tokens_before);
  load_slots();
  write_program(weights);
  std::get<Embed>(program_.front()).first = position_;
  run(backend_, program_);
  backend_.wait();
  backend_.download(logits_.data(), at(memory_.logits), B * model_.vocabulary * 4);
  ++position_;
  return logits_.data();
}

StoreKeysValues Decoder::store_of(std::int64_t block, std::int64_t sequence, const Matrix& k, const Matrix& v) const {
  const DecodeAttention reads = attention_of(block);
  const std::int64_t first = sequence * reads.slots * size_of(shape_.type);
  StoreKeysValues op;
  op.H = model_.heads;
  op.slots = reads.slots;
  op.k = k;
  op.v = v;
  op.keys = static_cast<char*>(reads.keys) + first * model_.query_head();
  op.values = static_cast<char*>(reads.values) + first * model_.value_head();
  op.first_slot = reads.first_slot;
  op.groups = reads.groups;
  op.group = reads.group;
  return op;
}

const float* Decoder::prefill(const Weights& weights, const std::int32_t* tokens, std::int64_t count) {
  if (count < 0 || count >= shape_.length) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("decoder: needs 0 to {} tokens to read at once, got {}", shape_.length - 1, count));
  }
  std::vector<std::int64_t> positions, begin(1, 0);
  std::vector<std::int32_t> slots;
  for (const CacheLayout& layout : memory_.layouts) {
    layout.held_slots(count + 1, positions, slots);
    begin.push_back(static_cast<std::int64_t>(slots.size()));
  }
  const auto on_device = [&](const auto& values) {
    Buffer buffer(backend_, static_cast<std::int64_t>(std::max<std::size_t>(1, values.size()) * sizeof values[0]));
    if (!values.empty()) {
      backend_.upload(buffer.data(), values.data(), static_cast<std::int64_t>(values.size() * sizeof values[0]));
    }
    return buffer;
  };
  const Buffer position = on_device(positions), slot = on_device(slots), begins = on_device(begin);
  Network network(backend_, model_, {1, count + 1, shape_.type});
  std::vector<std::int32_t> row(static_cast<std::size_t>(count + 1));  // the last position's token is not looked at
  std::vector<bool> done(static_cast<std::size_t>(shape_.sequences));
  for (std::int64_t b = 0; b < shape_.sequences; ++b) {
    if (done[static_cast<std::size_t>(b)]) continue;
    std::vector<std::int64_t> alike;
    for (std::int64_t other = b; other < shape_.sequences; ++other) {
      if (!std::equal(tokens + b * count, tokens + (b + 1) * count, tokens + other * count)) continue;
      alike.push_back(other);
      done[static_cast<std::size_t>(other)] = true;
    }
    std::copy_n(tokens + b * count, count, row.begin());
    Pass pass;
    pass.tokens = row.data();
    const auto keep = [&](std::int64_t block, const Attention& attention) {
      for (const std::int64_t sequence : alike) {
        StoreKeysValues op = store_of(block, sequence, first_sequence(attention.k), first_sequence(attention.v));
        op.position = static_cast<const std::int64_t*>(position.data());
        op.slot = slot.i32();
        op.begin = static_cast<const std::int64_t*>(begins.data());
        store_keys_values(backend_, op);
      }
    };
    const std::vector<float> logits = network.last_logits(weights, pass, keep);
    for (const std::int64_t sequence : alike)
      std::copy(logits.begin(), logits.end(), logits_.begin() + sequence * model_.vocabulary);
  }
  const std::int64_t held = std::min(count, memory_.recent);
  std::fill(tokens_.begin(), tokens_.end(), -1);
  for (std::int64_t b = 0; b < shape_.sequences; ++b)
    std::copy_n(tokens + (b + 1) * count - held, held, tokens_.begin() + (b + 1) * memory_.recent - held);
  position_ = count + 1;
  return logits_.data();
}

}  // namespace longstride
