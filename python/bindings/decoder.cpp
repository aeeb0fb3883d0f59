// Decoding by hand: sequences that join, read tokens, step together, fork and leave.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <mutex>

#include "arrays.h"
#include "bindings.h"
#include "errand.h"
#include "held.h"
#include "longstride/error.h"

namespace longstride::python {
namespace {

using namespace nb::literals;
using Tokens = ArrayIn<std::int32_t>;

// Its own turn is taken after the model's. To leave needs it alone, for the model may be at work for long.
struct HeldDecoder {
  HeldDecoder(std::shared_ptr<Held> of, const DecoderOptions& options)
      : held(std::move(of)), decoder(held->model, options) {}
  std::shared_ptr<Held> held;
  Decoder decoder;
  std::mutex turn;
};

struct HeldSequence {
  HeldSequence(std::shared_ptr<HeldDecoder> in, Decoder::Sequence held)
      : decoder(std::move(in)), sequence(std::move(held)) {}
  ~HeldSequence() {
    const Unlocked unlocked;
    leave();
  }
  void leave() {
    const std::lock_guard turn(decoder->turn);
    if (!sequence.left()) sequence.leave();
  }
  std::shared_ptr<HeldDecoder> decoder;
  Decoder::Sequence sequence;
};

struct DecoderHandle {
  std::shared_ptr<HeldDecoder> held;
};
struct SequenceHandle {
  std::shared_ptr<HeldSequence> held;
};

// For a thread that has the model's turn.
template <class Work>
auto in_turn(HeldDecoder& decoder, Work&& work) {
  const std::lock_guard turn(decoder.turn);
  return work();
}

void make(DecoderHandle* self, const ModelHandle& model, std::int64_t sequences, std::int64_t length, bool exact) {
  const DecoderOptions options = {sequences, length, exact};
  new (self) DecoderHandle{
      taking_turns(model, [&](Model&) { return shared_until_fork<HeldDecoder>(model.held, options); })};
}

SequenceHandle join(const DecoderHandle& self) {
  const Turn turn(*self.held->held);
  return {computing([&] {
    Decoder::Sequence joined = in_turn(*self.held, [&] { return self.held->decoder.join(); });
    return shared_until_fork<HeldSequence>(self.held, std::move(joined));
  })};
}

SequenceHandle fork_of(const SequenceHandle& self) {
  const std::shared_ptr<HeldDecoder>& decoder = self.held->decoder;
  const Turn turn(*decoder->held);
  return {computing([&] {
    Decoder::Sequence forked = in_turn(*decoder, [&] { return self.held->sequence.fork(); });
    return shared_until_fork<HeldSequence>(decoder, std::move(forked));
  })};
}

ArrayOut<float> read(const SequenceHandle& self, const Tokens& tokens) {
  std::vector<float> logits;
  const Turn turn(*self.held->decoder->held);
  Errand errand;
  errand.run([&] {
    in_turn(*self.held->decoder, [&] {
      const std::span<const float> made = self.held->sequence.read(span_of(tokens), errand.stop());
      logits.assign(made.begin(), made.end());
    });
  });
  return array_of(std::move(logits));
}

ArrayOut<float> step(const DecoderHandle& self, const std::vector<SequenceHandle>& sequences, const Tokens& tokens) {
  if (sequences.size() != tokens.size()) throw_invalid("decoder: needs as many tokens as sequences");
  const Turn turn(*self.held->held);
  std::vector<float> logits = multiplying([&] {
    return in_turn(*self.held, [&] {
      std::vector<Decoder::Fed> fed;
      for (std::size_t at = 0; at < sequences.size(); ++at) {
        fed.push_back({&sequences[at].held->sequence, tokens.data()[at]});
      }
      const std::span<const float> made = self.held->decoder.step(fed);
      return std::vector<float>(made.begin(), made.end());
    });
  });
  return array_of(std::move(logits), {sequences.size(), logits.size() / sequences.size()});
}

}  // namespace

void bind_decoder(nb::module_& module) {
  nb::class_<SequenceHandle>(module, "Sequence", "A place in a Decoder, given back when this goes or leaves.")
      .def_prop_ro("tokens_read",
                   [](const SequenceHandle& self) {
                     return computing([&] {
                       const std::lock_guard turn(self.held->decoder->turn);
                       return self.held->sequence.tokens_read();
                     });
                   })
      .def("_read", read)
      .def("_restart",
           [](const SequenceHandle& self) {
             const Turn turn(*self.held->decoder->held);
             computing([&] { in_turn(*self.held->decoder, [&] { self.held->sequence.restart(); }); });
           })
      .def("_fork", fork_of)
      .def("_leave", [](const SequenceHandle& self) { computing([&] { self.held->leave(); }); });
  nb::class_<DecoderHandle>(module, "Decoder")
      .def("__init__", make, "model"_a, "sequences"_a, "length"_a, "exact"_a)
      .def_prop_ro("length", [](const DecoderHandle& self) { return self.held->decoder.length(); })
      .def("_join", join)
      .def("_step", step);
}

}  // namespace longstride::python
