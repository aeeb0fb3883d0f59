// Looking inside: where the heads of a model look on one input (the paper, figure 2). The probabilities are those of
// the network's own float32 pass, p = exp(scale q . k - lse), for the queries that are asked for: n x n never exists.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "longstride/config.h"
#include "longstride/image.h"

#pragma GCC visibility push(default)  // the names below leave the shared library (cmake/rooms.cmake)
namespace longstride {

class Model;  // longstride/model.h

// What one query of one head reads. Query i makes the prediction of token i; key j is the input of position j, which is
// token j - 1 (key 0: the start vector). A row is valid until the call that brought it returns.
struct AttentionRow {
  std::int64_t layer = 0, head = 0, query = 0;
  std::span<const std::int64_t> keys;  // S_i, ascending; every other key has probability 0
  std::span<const double> p;           // one a key; they sum to 1 where there is a key
};

struct AttentionOptions {
  std::string run;                  // run directory, checkpoint directory or .safetensors file
  std::string checkpoint = "best";  // best | latest | a step; for a run directory
  std::string input;                // a file, read as training data of the run's kind: one picture, or one context
  std::vector<std::uint8_t> tokens;  // where `input` is empty: the input itself, at most n of them
  const std::atomic<bool>* stop = nullptr;
};

class AttentionView {
 public:
  // Errors: invalid_argument where a path or the checkpoint's name is wrong, corrupt_data where a file is damaged.
  explicit AttentionView(const AttentionOptions& options);
  // Of a model that is held already, in float32 whatever it computes in otherwise; run and checkpoint are not looked
  // at.
  AttentionView(Model& model, const AttentionOptions& options);
  ~AttentionView();

  const Config& config() const;
  const std::string& checkpoint() const;            // path of model.safetensors
  std::int64_t step() const;                        // its
  const std::vector<std::uint8_t>& tokens() const;  // of the input, n of them; queries are 0 to n - 1
  Pattern pattern(std::int64_t layer, std::int64_t head) const;

  // One pass; calls `row` for every layer, head and query, in the order of the pass: layers ascending, heads and
  // queries as they are listed. Memory for one layer's queries, keys and one row. Errors: invalid_argument where a list
  // is empty or names what the model or the input does not have; exhausted where `stop` was set.
  void rows(const std::vector<std::int64_t>& layers, const std::vector<std::int64_t>& heads,
            const std::vector<std::int64_t>& queries, const std::function<void(const AttentionRow&)>& row) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Panels side by side, heads across and layers down, each `panel` pixels a side or a little less.
struct AttentionDrawing {
  std::vector<std::int64_t> layers, heads;
  int panel = 192;
};

// Over the picture that the tokens are: dimmed where they are read with little weight, in colour as the weight rises
// (its square root, as a share of the panel's largest), dark from the query's own pixel on, which is marked. A key lies
// where the token is that it holds. Queries below one another, for each a block of layers.
Image draw_attention_over_picture(const AttentionView& view, const AttentionDrawing& drawing,
                                  const std::vector<std::int64_t>& queries);

// The matrix of queries [first, first + count) down and keys of the same range across: a cell is the share of its
// attention that a query of the cell gives to the cell's keys, on average (over four queries where a cell has more),
// and in colour as its square root rises, as a share of the panel's largest.
Image draw_attention_matrix(const AttentionView& view, const AttentionDrawing& drawing, std::int64_t first,
                            std::int64_t count);

}  // namespace longstride
#pragma GCC visibility pop
