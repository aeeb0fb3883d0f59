// This puts an engine's passes together from blocks, and keeps the caches that they work on.
#include "model/engine_program.h"

#include <algorithm>
#include <deque>

#include "model/block.h"
#include "ops/memory.h"

namespace longstride {

EngineMemory::EngineMemory(Backend& backend, const ModelConfig& model, const EngineShape& shape, bool allocated)
    : backend_(backend),
      cache_(model, shape),
      shape_(shape),
      heads_(model.heads),
      key_channels_(model.query_head()),
      value_channels_(model.value_head()) {
  if (!allocated) return;
  std::vector<std::int64_t> first;
  std::vector<std::int32_t> group;
  for (const std::vector<std::int32_t>& heads : cache_.groups) {
    std::int64_t at = 0;
    for (const std::int32_t index : heads) {
      first.push_back(at);
      group.push_back(index);
      at += cache_.layouts[static_cast<std::size_t>(index)].slots();
    }
  }
  first_slot_ = Buffer(backend, static_cast<std::int64_t>(first.size()) * 8);
  group_ = Buffer(backend, static_cast<std::int64_t>(group.size()) * 4);
  backend.upload(first_slot_.data(), first.data(), first_slot_.bytes());
  backend.upload(group_.data(), group.data(), group_.bytes());
  begin_.push_back(0);
  for (std::int64_t block = 0; block < model.layers; ++block) {
    const std::int64_t rows = shape.sequences * cache_.slots_of(block);
    for (const std::int64_t channels : {key_channels_, value_channels_})
      begin_.push_back(begin_.back() + aligned(rows * channels * size_of(shape.type)));
  }
  stores_ = Buffer(backend, begin_.back());
}

Matrix EngineMemory::store(std::int64_t index, std::int64_t D) const {
  void* data = stores_ ? static_cast<char*>(stores_.data()) + begin_[static_cast<std::size_t>(index)] : nullptr;
  return matrix(data, shape_.type, shape_.sequences * cache_.slots_of(index / 2), D);
}

Array<std::int64_t> EngineMemory::first_slot(std::int64_t block) const {
  const std::int64_t heads = block % static_cast<std::int64_t>(cache_.groups.size()) * heads_;
  return array(static_cast<std::int64_t*>(first_slot_.data()), heads + heads_).from(heads);
}
Array<std::int32_t> EngineMemory::group(std::int64_t block) const {
  const std::int64_t heads = block % static_cast<std::int64_t>(cache_.groups.size()) * heads_;
  return array(static_cast<std::int32_t*>(group_.data()), heads + heads_).from(heads);
}

template <class Work>
void EngineMemory::each_store(const Work& work) const {
  for (std::int64_t block = 0; stores_ && block < static_cast<std::int64_t>(begin_.size()) / 2; ++block) {
    for (const Matrix& of : {keys(block), values(block)}) {
      work(static_cast<char*>(of.data), of.rows / shape_.sequences * of.cols * size_of(of.type));
    }
  }
}

void EngineMemory::copy(std::int64_t from, std::int64_t to) {
  each_store([&](char* data, std::int64_t bytes) { backend_.copy(data + to * bytes, data + from * bytes, bytes); });
}
void EngineMemory::clear(std::int64_t sequence) {
  each_store([&](char* data, std::int64_t bytes) { backend_.zero(data + sequence * bytes, bytes); });
}

std::int64_t recent_tokens(const ModelConfig& model) {
  return std::max(model.convolution + 1, model.hash_orders.empty() ? 0 : model.hash_orders.back());
}

namespace {

class EnginePass {
 public:
  EnginePass(const ModelConfig& model, const EngineShape& shape, const Weights& weights, const EngineMemory& memory,
             std::int64_t rows)
      : model_(model), weights_(weights), memory_(memory), R_(rows), A_(shape.type) {
    made.tokens = ints(R_ * recent_tokens(model)), made.at = longs(R_);
    made.hash_rows = ints(R_ * static_cast<std::int64_t>(model.hash_orders.size()));
  }

  Array<std::int32_t> ints(std::int64_t count) {
    return made.program.array<std::int32_t>("lists", Life::lasting, count);
  }
  Array<std::int64_t> longs(std::int64_t count) {
    return made.program.array<std::int64_t>("lists", Life::lasting, count);
  }
  Matrix matrix_of(std::int64_t rows, DType type, std::int64_t cols) {
    return made.program.matrix("activations", Life::passing, type, rows, cols);
  }
  std::int64_t groups() const { return static_cast<std::int64_t>(memory_.cache().patterns.size()); }
  std::int64_t qkv_columns() const { return 2 * model_.query_width() + model_.width; }

  // context: rows of queries, keys and values side by side, of which the last R are this pass's. attend(block, index):
  // adds the attention. logits: rows at the end that have them.
  template <class Attend>
  void run(const Matrix& context, const Attend& attend, std::int64_t logits) {
    Program& program = made.program;
    const BlockShape shape{R_, std::min(R_, kRowsAtOnce), A_, {}};
    const Matrix h = matrix_of(R_, DType::float32, model_.width), qkv = context.rows_from(context.rows - R_, R_);
    add_embedding(h);
    std::deque<Block> blocks;
    for (std::int64_t index = 0; index < model_.layers; ++index)
      blocks.emplace_back(model_, weights_, index, shape,
                          block_views(program, model_, shape, Keeping::nothing, h, qkv));
    add_blocks(program, blocks, shape, attend, [&](const Block& last, Rows rows) {
      if (logits > 0 && rows.first + rows.count == R_) add_logits(last, {R_ - logits, logits});
    });
  }

  EngineProgram made;

 private:
  void add_embedding(const Matrix& h) {
    Embed e = embedding_of(model_, weights_);
    e.B = R_;
    e.T = 1;
    e.tokens_stride = recent_tokens(model_);
    e.history = e.tokens_stride - 1;
    e.tokens = made.tokens.from(e.history);
    e.at = made.at;
    e.hash_rows = made.hash_rows;
    e.out = h;
    made.program.add(e);
  }

  void add_logits(const Block& last, Rows rows) {
    Program& program = made.program;
    const auto floats = [&] { return program.array<float>("final", Life::passing, R_); };
    const NormViews final{last.views().h, matrix_of(R_, A_, model_.width), floats(), floats()};
    program.add(last.final_norm(final, rows));
    made.logits = program.matrix("logits", Life::lasting, DType::float32, rows.count, model_.vocabulary);
    program.add(output_product(model_, weights_, final.y.rows_from(rows.first, rows.count), made.logits));
  }

  const ModelConfig& model_;
  Weights weights_;
  const EngineMemory& memory_;
  std::int64_t R_;
  DType A_;
};

}  // namespace

EngineProgram rows_program(const ModelConfig& model, const EngineShape& shape, const Weights& weights,
                           const EngineMemory& memory, std::int64_t rows, Logits logits) {
  EnginePass pass(model, shape, weights, memory, rows);
  EngineProgram& made = pass.made;
  made.sequence = pass.ints(rows);
  made.write = pass.ints(rows * memory.cache().most_writes);
  made.read = pass.ints(rows * memory.cache().most_reads);
  for (Array<std::int64_t>* list : {&made.write_begin, &made.write_end, &made.read_begin, &made.read_end})
    *list = pass.longs(rows * pass.groups());
  const auto attend = [&](const Block& block, std::int64_t index) {
    DecodeAttention op = block.decode_attention();
    op.slots = memory.cache().slots_of(index);
    op.keys = memory.keys(index), op.values = memory.values(index);
    op.sequence = made.sequence;
    op.first_slot = memory.first_slot(index), op.group = memory.group(index);
    op.groups = pass.groups();
    op.write = made.write, op.read = made.read;
    op.write_begin = made.write_begin, op.write_end = made.write_end;
    op.read_begin = made.read_begin, op.read_end = made.read_end;
    made.program.add(op);
  };
  const std::int64_t wanted = logits == Logits::all ? rows : logits == Logits::last ? 1 : 0;
  pass.run(pass.matrix_of(rows, shape.type, pass.qkv_columns()), attend, wanted);
  return std::move(made);
}

EngineProgram piece_program(const ModelConfig& model, const EngineShape& shape, const Weights& weights,
                            const EngineMemory& memory, const HeadTilings& tilings, std::int64_t first,
                            std::int64_t rows, Logits logits) {
  EnginePass pass(model, shape, weights, memory, rows);
  EngineProgram& made = pass.made;
  std::int64_t recalled = 0, stored = 0;
  for (const CacheLayout& layout : memory.cache().layouts) {
    recalled += std::min(2 * first, layout.slots());  // a position lies in a ring, in a summary, or in both
    stored += std::min(2 * rows, layout.slots());
  }
  made.sequence = pass.ints(1);
  recalled = std::max<std::int64_t>(1, recalled), stored = std::max<std::int64_t>(1, stored);  // lists may be empty
  made.recalled_row = pass.longs(recalled), made.recalled_slot = pass.ints(recalled);
  made.stored_row = pass.longs(stored), made.stored_slot = pass.ints(stored);
  made.recalled_begin = pass.longs(pass.groups() + 1), made.stored_begin = pass.longs(pass.groups() + 1);
  const std::int64_t T = first + rows;
  const Matrix context = pass.matrix_of(T, shape.type, pass.qkv_columns());
  const auto transfer = [&](std::int64_t index, bool recall, const Matrix& from) {
    CacheRows op;
    op.recall = recall;
    op.H = model.heads;
    op.slots = memory.cache().slots_of(index);
    const QueriesKeysValues parts = split(model, from);
    op.k = parts.k, op.v = parts.v;
    op.keys = memory.keys(index), op.values = memory.values(index);
    op.sequence = made.sequence;
    op.first_slot = memory.first_slot(index), op.group = memory.group(index);
    op.groups = pass.groups();
    op.row = recall ? made.recalled_row : made.stored_row;
    op.slot = recall ? made.recalled_slot : made.stored_slot;
    op.begin = recall ? made.recalled_begin : made.stored_begin;
    made.program.add(op);
  };
  const auto attend = [&](const Block& block, std::int64_t index) {
    if (first > 0) transfer(index, true, context);
    Attention op = block.attention(1, rows, tilings.block(index));
    op.T = T;
    op.first = first;
    const QueriesKeysValues parts = split(model, context);
    op.k = heads(parts.k, 1, T, model.heads), op.v = heads(parts.v, 1, T, model.heads);
    made.program.add(op);
    if (first == 0) made.program.add(Mark{Mark::What::attended, index, 0, 0});
    transfer(index, false, context.rows_from(first, rows));
  };
  pass.run(context, attend, logits == Logits::none ? 0 : kPieceRows);
  made.program.expect_weights_to_stay();
  return std::move(made);
}

}  // namespace longstride
