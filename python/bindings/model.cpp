// A model that Python holds: logits, scores, evaluations.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "errand.h"
#include "held.h"
#include "paths.h"
#include "records.h"
#include "words.h"
#include "world.h"

namespace longstride::python {
namespace {

using namespace nb::literals;
using Tokens = ArrayIn<std::int32_t>;

void make(ModelHandle* self, const Path& run, const std::string& checkpoint, const std::string& precision,
          const std::string& device) {
  ModelOptions options;
  options.run = run.name;
  options.checkpoint = checkpoint;
  options.precision = precision_of(precision);
  options.device = device_of(device);
  new (self) ModelHandle{computing([&] { return shared_until_fork<Held>(options); })};
}

ArrayOut<float> logits(const ModelHandle& self, const Tokens& tokens) {
  std::vector<float> values = taking_turns(self, [&](Model& model) { return model.logits(span_of(tokens)); });
  const std::size_t rows = tokens.size() + 1, columns = values.size() / rows;
  return array_of(std::move(values), {rows, columns});
}

ArrayOut<float> next_logits(const ModelHandle& self, const Tokens& tokens) {
  constexpr std::size_t kSoon = 256;  // so many tokens are read before anyone would press Ctrl-C
  if (tokens.size() < kSoon) {
    return array_of(taking_turns(self, [&](Model& model) { return model.next_logits(span_of(tokens)); }));
  }
  std::vector<float> values;
  const Turn turn(*self.held);
  Errand errand;
  errand.run([&] { values = self.held->model.next_logits(span_of(tokens), errand.stop()); });
  return array_of(std::move(values));
}

// bits, bits_per_token, standard_error, windows
nb::tuple score(const ModelHandle& self, const Tokens& tokens, std::int64_t min_context) {
  TokenScore found;
  const Turn turn(*self.held);
  Errand errand;
  errand.run([&] { found = self.held->model.score(span_of(tokens), min_context, errand.stop()); });
  return nb::make_tuple(array_of(std::move(found.bits)), found.bits_per_token, unless_negative(found.standard_error),
                        found.windows);
}

nb::dict record(const Evaluation& found) {
  nb::dict fields;
  fields["bits_per_byte"] = found.bits_per_byte;
  fields["standard_error"] = unless_negative(found.standard_error);
  fields["tokens_scored"] = found.tokens_scored;
  fields["context"] = found.context;
  fields["min_context"] = found.min_context;
  fields["kind"] = found.kind;
  fields["windows"] = found.windows;
  fields["data"] = said(found.data);
  fields["data_sha256"] = found.data_sha256;
  fields["offset"] = found.offset;
  fields["checkpoint"] = said(found.checkpoint);
  fields["checkpoint_sha256"] = found.checkpoint_sha256;
  fields["step"] = found.step;
  fields["precision"] = found.precision;
  fields["split"] = found.split;
  fields["origin"] = origin_record(found.origin);
  fields["trained_by"] = found.trained_by ? origin_record(*found.trained_by) : nb::none();
  fields["seconds"] = found.seconds;
  return fields;
}

// What single bytes cost, in columns: a row a scored byte, and of the likeliest K a row each.
class PerByte {
 public:
  void add(const ScoredToken& token) {
    at_.push_back(token.at);
    byte_.push_back(token.token);
    bits_.push_back(token.bits);
    for (const LikelyToken& likely : token.expected) {
      expected_.push_back(likely.token);
      probability_.push_back(likely.probability);
    }
  }
  nb::dict record() && {
    const std::size_t rows = at_.size(), K = rows == 0 ? 0 : expected_.size() / rows;
    nb::dict fields;
    fields["at"] = array_of(std::move(at_));
    fields["byte"] = array_of(std::move(byte_));
    fields["bits"] = array_of(std::move(bits_));
    fields["expected"] = array_of(std::move(expected_), {rows, K});
    fields["probability"] = array_of(std::move(probability_), {rows, K});
    return fields;
  }

 private:
  std::vector<std::int64_t> at_;
  std::vector<std::int32_t> byte_, expected_;
  std::vector<double> bits_, probability_;
};

// expected: of how many of the likeliest bytes every scored byte's record tells; none: there are no such records.
nb::dict evaluate(const ModelHandle& self, const std::vector<Path>& data, const std::string& split, std::int64_t offset,
                  std::int64_t bytes, std::int64_t min_context, const std::string& precision, const Path& cache,
                  std::optional<std::int64_t> expected, const WorldHandle* world, const nb::object& progress,
                  const nb::callable& noted) {
  const InWorld together(world);
  Errand errand;
  EvaluateOptions options;
  options.paths = names_of(data);
  options.split = split;
  options.offset = offset;
  options.bytes = bytes;
  options.min_context = min_context;
  options.precision = precision_of(precision);
  options.cache = cache.name;
  options.stop = errand.stop();
  options.world = together.world();
  PerByte per_byte;
  if (expected) {
    options.scored = [&](const ScoredToken& token) { per_byte.add(token); };
    options.expected = *expected;
  }
  if (!progress.is_none()) {
    options.progress = [&](double share, double bits) { errand.tell([&] { progress(share, bits); }); };
  }
  options.noted = [&](const std::string& sentence) { errand.tell([&] { noted(said(sentence)); }); };
  Evaluation found;
  const Turn turn(*self.held);
  together.run(errand, [&] { found = self.held->model.evaluate(options); });
  if (found.interrupted) throw Error(ErrorKind::stopped, "evaluate: another process was told to stop");
  nb::dict fields = record(found);
  fields["per_byte"] = expected ? nb::object(std::move(per_byte).record()) : nb::none();
  return fields;
}

}  // namespace

void bind_model(nb::module_& module) {
  nb::class_<ModelHandle>(module, "Model")
      .def("__init__", make, "run"_a, "checkpoint"_a, "precision"_a, "device"_a)
      .def_prop_ro("config", [](const ModelHandle& self) { return said(write_config(self.held->model.config())); })
      .def_prop_ro("path", [](const ModelHandle& self) { return said(self.held->model.path()); })
      .def_prop_ro("step", [](const ModelHandle& self) { return self.held->model.step(); })
      .def_prop_ro("parameters", [](const ModelHandle& self) { return self.held->model.parameters(); })
      .def_prop_ro("precision", [](const ModelHandle& self) { return word_of(self.held->model.precision()); })
      .def_prop_ro("device", [](const ModelHandle& self) { return self.held->model.device(); })
      .def("logits", logits)
      .def("next_logits", next_logits)
      .def("score", score)
      .def("evaluate", evaluate, "data"_a, "split"_a, "offset"_a, "bytes"_a, "min_context"_a, "precision"_a, "cache"_a,
           "expected"_a.none(), "world"_a.none(), "progress"_a.none(), "noted"_a);
}

}  // namespace longstride::python
