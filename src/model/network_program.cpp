// This puts the passes of a network together, forward from the embedding and backward from the loss.
#include "model/network_program.h"

#include <deque>

namespace longstride {

namespace {

class Passes {
 public:
  Passes(const ModelConfig& model, const NetworkShape& shape, std::int64_t batch, const Weights& weights,
         const HeadTilings& tilings, bool training)
      : model_(model),
        weights_(weights),
        tilings_(tilings),
        B_(batch),
        T_(shape.tokens),
        N_(batch * shape.tokens),
        C_(model.width),
        A_(shape.type),
        rows_at_once_(std::min(shape.rows_at_once, N_)),
        training_(training),
        recompute_(shape.recompute) {
    block_shape_ = {N_, rows_at_once_, A_, {}};
    if (!shape.training) made_.program.expect_weights_to_stay();
    if (training || !shape.training) block_shape_.dropout = {shape.dropout, shape.dropout_seed};
    Program& program = made_.program;
    made_.tokens = program.array<std::int32_t>("tokens", Life::lasting, N_);
    made_.hash_rows = program.array<std::int32_t>("tokens", Life::lasting, N_ * hash_orders());
  }

  // From tokens to what the loss reads.
  void forward(bool watched) {
    Program& program = made_.program;
    Embed e = embedding_of(model_, weights_);
    e.B = B_;
    e.T = T_;
    e.tokens = made_.tokens;
    e.hash_rows = made_.hash_rows;
    e.out = program.matrix("residual stream", Life::passing, DType::float32, N_, C_);
    program.add(e);
    for (std::int64_t index = 0; index < model_.layers; ++index) add_block(index, e.out);
    const Matrix first_h = blocks_.front().views().h;
    final_ = {training_ ? all_rows("residual stream", DType::float32, C_) : first_h, all_rows("final", A_, C_),
              floats("final"), floats("final")};
    const auto attend = [&](const Block& block, std::int64_t index) {
      made_.attentions.push_back(program.operations().size());
      program.add(attention_of(block, index));
      if (watched) program.add(Mark{Mark::What::attended, index, 0, 0});
    };
    add_blocks(program, blocks_, block_shape_, attend,
               [&](const Block& last, Rows rows) { program.add(last.final_norm(final_, rows)); });
  }

  VocabularyLoss loss() {
    made_.targets = made_.program.array<std::int32_t>("targets", Life::lasting, N_);
    made_.losses = made_.program.array<float>("losses", Life::lasting, N_);
    VocabularyLoss op;
    op.x = final_.y;
    op.w = weights_.matrix(weights_.table->output_weight, model_.vocabulary, C_, A_);
    op.targets = made_.targets;
    op.losses = made_.losses;
    return op;
  }

  void add_logits() {
    made_.logits = made_.program.matrix("logits", Life::lasting, DType::float32, N_, model_.vocabulary);
    made_.program.add(output_product(model_, weights_, final_.y, made_.logits));
  }

  void backward(const TrainingOutputs& outputs) {
    const ParameterTable& table = *weights_.table;
    BlockGradients d;
    d.dh = final_.h;  // each row of the final norm's input becomes its gradient
    d.dbranch = all_rows("gradients", A_, C_);
    loss_backward(outputs, d);
    std::int64_t end = table.store_elements(), begin = table.final_norm_weight, order = 0;
    add_mark(order++, begin, end);
    for (std::int64_t index = model_.layers - 1; index >= 0; --index) {
      block_backward(outputs.gradients, index, d);
      end = begin;
      begin = table.blocks[static_cast<std::size_t>(index)].attention_norm_weight;
      add_mark(order++, begin, end);
    }
    EmbedBackward embedding = embedding_backward_of(model_, weights_, outputs.gradients);
    embedding.forward.B = B_;
    embedding.forward.T = T_;
    embedding.forward.tokens = made_.tokens;
    embedding.forward.hash_rows = made_.hash_rows;
    embedding.dout = d.dh;
    made_.program.add(embedding);
    add_mark(order, 0, begin);
    if (outputs.bits) made_.program.add(SumBits{made_.losses, outputs.bits});
  }

  NetworkProgram take() { return std::move(made_); }

 private:
  std::int64_t hash_orders() const { return static_cast<std::int64_t>(model_.hash_orders.size()); }
  Matrix all_rows(const char* name, DType type, std::int64_t cols) {
    return made_.program.matrix(name, Life::passing, type, N_, cols);
  }
  Matrix some_rows(const char* name, std::int64_t cols) {
    return made_.program.matrix(name, Life::passing, A_, rows_at_once_, cols);
  }
  Array<float> floats(const char* name) { return made_.program.array<float>(name, Life::passing, N_); }
  const Block& block_at(std::int64_t index) const { return blocks_[static_cast<std::size_t>(index)]; }
  Attention attention_of(const Block& block, std::int64_t index) const {
    return block.attention(B_, T_, tilings_.block(index));
  }

  BlockViews views(Keeping keeping, const Matrix& h) {
    return block_views(made_.program, model_, block_shape_, keeping, h);
  }
  void add_block(std::int64_t index, const Matrix& first_h) {
    const Matrix h = training_ && index > 0 ? all_rows("block input", DType::float32, C_) : first_h;
    const Keeping keeping = !training_ ? Keeping::nothing : recompute_ ? Keeping::input : Keeping::all;
    blocks_.emplace_back(model_, weights_, index, block_shape_, views(keeping, h));
  }

  void add_mark(std::int64_t order, std::int64_t begin, std::int64_t end) {
    made_.program.add(Mark{Mark::What::gradient_final, order, begin, end});
  }

  void loss_backward(const TrainingOutputs& outputs, const BlockGradients& d) {
    const ParameterTable& table = *weights_.table;
    VocabularyLoss op = loss();
    op.dx = d.dbranch;
    op.dw = outputs.gradients.matrix(table.output_weight, model_.vocabulary, C_, DType::float32);
    made_.program.add(op);
    made_.program.add(blocks_.back().final_norm_backward(final_, outputs.gradients, d, Rows{0, N_}));
  }

  // With recomputation a block's activations are made again in buffers of their own, from its input on; those of the
  // last block are still there, up to its norms' outputs.
  void block_backward(const Weights& gradients, std::int64_t index, BlockGradients d) {
    Program& program = made_.program;
    const bool last = index + 1 == model_.layers;
    const Block::Kept kept = !recompute_ ? Block::Kept::all : last ? Block::Kept::mid : Block::Kept::none;
    const Block& before = block_at(index);
    const Block block(model_, weights_, index, block_shape_,
                      kept == Block::Kept::none ? views(Keeping::input, before.views().h) : before.views());
    if (kept == Block::Kept::none) {
      by_rows(block_shape_, [&](Rows rows) { block.enter(program, nullptr, rows); });
      program.add(attention_of(block, index));
    }
    d.dhidden = some_rows("gradients", model_.hidden_width());
    d.dy2 = some_rows("gradients", C_);
    d.dprojection = some_rows("gradients", C_);
    d.dqkv = all_rows("gradients", A_, 2 * model_.query_width() + C_);
    d.dy1 = some_rows("gradients", C_);
    by_rows(block_shape_, [&](Rows rows) { block.leave_backward(program, gradients, d, rows, kept); });
    program.add(block.attention_backward(attention_of(block, index), d));
    by_rows(block_shape_, [&](Rows rows) { block.enter_backward(program, gradients, d, rows, kept); });
  }

  const ModelConfig& model_;
  Weights weights_;
  const HeadTilings& tilings_;
  std::int64_t B_, T_, N_, C_;
  DType A_;
  std::int64_t rows_at_once_;
  bool training_, recompute_;
  BlockShape block_shape_;
  NetworkProgram made_;
  std::deque<Block> blocks_;
  NormViews final_;
};

}  // namespace

NetworkProgram loss_program(const ModelConfig& model, const NetworkShape& shape, std::int64_t batch,
                            const Weights& weights, const HeadTilings& tilings) {
  Passes passes(model, shape, batch, weights, tilings, false);
  passes.forward(false);
  const VocabularyLoss loss = passes.loss();
  NetworkProgram made = passes.take();
  made.program.add(loss);
  return made;
}

NetworkProgram logits_program(const ModelConfig& model, const NetworkShape& shape, std::int64_t batch,
                              const Weights& weights, const HeadTilings& tilings) {
  Passes passes(model, shape, batch, weights, tilings, false);
  passes.forward(false);
  passes.add_logits();
  return passes.take();
}

NetworkProgram watched_program(const ModelConfig& model, const NetworkShape& shape, const Weights& weights,
                               const HeadTilings& tilings) {
  Passes passes(model, shape, shape.batch, weights, tilings, false);
  passes.forward(true);
  return passes.take();
}

NetworkProgram training_program(const ModelConfig& model, const NetworkShape& shape, const Weights& weights,
                                const TrainingOutputs& outputs, const HeadTilings& tilings) {
  Passes passes(model, shape, shape.batch, weights, tilings, true);
  passes.forward(false);
  passes.backward(outputs);
  return passes.take();
}

}  // namespace longstride
