// Where the heads of a model look on one input.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "errand.h"
#include "held.h"
#include "longstride/attention.h"
#include "paths.h"

namespace longstride::python {
namespace {

using namespace nb::literals;
using Numbers = std::vector<std::int64_t>;

struct HeldView {
  HeldView(std::shared_ptr<Held> of, AttentionOptions options)
      : held(std::move(of)), view(held->model, with(options, stop)) {}
  static const AttentionOptions& with(AttentionOptions& options, const std::atomic<bool>& stop) {
    options.stop = &stop;
    return options;
  }
  std::shared_ptr<Held> held;
  std::atomic<bool> stop{false};
  AttentionView view;
};

struct ViewHandle {
  std::shared_ptr<HeldView> held;

  template <class Work>
  void look(Work&& work) const {
    const Turn turn(*held->held);
    held->stop.store(false);
    Errand errand(held->stop);
    errand.run([&] { work(held->view); });
  }
};

void make(ViewHandle* self, const ModelHandle& model, const Path& input, const ArrayIn<std::uint8_t>& tokens) {
  AttentionOptions options;
  options.input = input.name;
  options.tokens.assign(tokens.data(), tokens.data() + tokens.size());
  new (self) ViewHandle{taking_turns(model, [&](Model&) { return shared_until_fork<HeldView>(model.held, options); })};
}

// A list of (layer, head, query, keys, p).
nb::list rows(const ViewHandle& self, const Numbers& layers, const Numbers& heads, const Numbers& queries) {
  struct Row {
    std::int64_t layer, head, query;
    std::vector<std::int64_t> keys;
    std::vector<double> p;
  };
  std::vector<Row> seen;
  self.look([&](const AttentionView& view) {
    view.rows(layers, heads, queries, [&](const AttentionRow& row) {
      seen.push_back(
          {row.layer, row.head, row.query, {row.keys.begin(), row.keys.end()}, {row.p.begin(), row.p.end()}});
    });
  });
  nb::list list;
  for (Row& row : seen) {
    list.append(
        nb::make_tuple(row.layer, row.head, row.query, array_of(std::move(row.keys)), array_of(std::move(row.p))));
  }
  return list;
}

ArrayOut<std::uint8_t> over_picture(const ViewHandle& self, const Numbers& layers, const Numbers& heads, int panel,
                                    const Numbers& queries) {
  Image image;
  self.look([&](const AttentionView& view) {
    image = draw_attention_over_picture(view, {layers, heads, panel}, queries);
  });
  return array_of(std::move(image));
}

ArrayOut<std::uint8_t> matrix(const ViewHandle& self, const Numbers& layers, const Numbers& heads, int panel,
                              std::int64_t first, std::int64_t count) {
  Image image;
  self.look([&](const AttentionView& view) {
    image = draw_attention_matrix(view, {layers, heads, panel}, first, count);
  });
  return array_of(std::move(image));
}

}  // namespace

void bind_view(nb::module_& module) {
  nb::class_<ViewHandle>(module, "AttentionView")
      .def("__init__", make, "model"_a, "input"_a, "tokens"_a)
      .def("tokens", [](const ViewHandle& self) { return array_of(std::vector(self.held->view.tokens())); })
      .def("pattern", [](const ViewHandle& self, std::int64_t layer,
                         std::int64_t head) { return to_string(self.held->view.pattern(layer, head)); })
      .def("rows", rows)
      .def("over_picture", over_picture)
      .def("matrix", matrix);
}

}  // namespace longstride::python
