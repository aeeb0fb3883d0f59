// Samples of a model: all at once, or one text as it is made.
#include "longstride/sample.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <condition_variable>
#include <thread>

#include "arrays.h"
#include "bindings.h"
#include "errand.h"
#include "held.h"
#include "longstride/image.h"
#include "longstride/sound.h"
#include "paths.h"
#include "words.h"
#include "world.h"

namespace longstride::python {
namespace {

using namespace nb::literals;
using Bytes = ArrayIn<std::uint8_t>;

template <class T>
T taken(const nb::dict& choices, const char* name) {
  return nb::cast<T>(choices[name]);
}

// choices: the fields of SampleOptions by their names.
SampleOptions options_of(const nb::dict& choices, const std::vector<Bytes>& prompts, const std::vector<Bytes>& stops) {
  SampleOptions options;
  options.tokens = taken<std::int64_t>(choices, "tokens");
  options.temperature = taken<double>(choices, "temperature");
  options.top_k = taken<std::int64_t>(choices, "top_k");
  options.top_p = taken<double>(choices, "top_p");
  options.min_p = taken<double>(choices, "min_p");
  options.seed = taken<std::int64_t>(choices, "seed");
  options.precision = precision_of(taken<std::string>(choices, "precision"));
  options.exact = taken<bool>(choices, "exact");
  options.count = taken<std::int64_t>(choices, "count");
  for (const Bytes& prompt : prompts) options.prompts.emplace_back(prompt.data(), prompt.data() + prompt.size());
  for (const Bytes& stop : stops) options.stops.emplace_back(stop.data(), stop.data() + stop.size());
  return options;
}

// A list of arrays, prompts included.
nb::list sample(const ModelHandle& self, const nb::dict& choices, const std::vector<Bytes>& prompts,
                const std::vector<Bytes>& stops, const WorldHandle* world, const nb::callable& noted) {
  SampleOptions options = options_of(choices, prompts, stops);
  const InWorld together(world);
  options.world = together.world();
  Errand errand;
  options.stop = errand.stop();
  options.noted = [&](const std::string& sentence) { errand.tell([&] { noted(said(sentence)); }); };
  std::vector<std::vector<std::uint8_t>> made;
  const Turn turn(*self.held);
  together.run(errand, [&] { made = self.held->model.sample(options); });
  if (was_interrupted(options, made)) throw Error(ErrorKind::stopped, "sample: another process was told to stop");
  nb::list sequences;
  for (std::vector<std::uint8_t>& tokens : made) sequences.append(array_of(std::move(tokens)));
  return sequences;
}

// One sequence that is made on a thread of its own, ahead of its reader, until it is done or nobody reads any more.
class Stream {
 public:
  Stream(std::shared_ptr<Held> of, SampleOptions options) : held_(std::move(of)), options_(std::move(options)) {
    options_.stop = &stop_;
    options_.made = [this](std::int64_t, std::uint8_t token) {
      const std::lock_guard held(mutex_);
      ready_.push_back(static_cast<char>(token));
      changed_.notify_one();
    };
    options_.noted = [this](const std::string& sentence) {
      const std::lock_guard held(mutex_);
      notes_.push_back(sentence);
    };
    thread_ = std::thread([this] { make(); });
  }
  ~Stream() {
    const Unlocked unlocked;
    close();
  }
  void close() {
    stop_.store(true);
    const std::lock_guard closing(closing_);
    if (thread_.joinable()) thread_.join();
  }

  struct News {
    std::string bytes;
    std::vector<std::string> notes;
    bool done = false;
  };
  // What is new, after at most `patience`.
  News wait(std::chrono::milliseconds patience) {
    std::unique_lock held(mutex_);
    changed_.wait_for(held, patience, [&] { return done_ || !ready_.empty(); });
    if (done_ && ready_.empty() && failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    News news = {std::exchange(ready_, {}), std::exchange(notes_, {}), done_};
    return news;
  }

 private:
  void make() {
    std::exception_ptr failure;
    try {
      std::unique_lock turn(held_->turn, std::defer_lock);
      while (!stop_.load() && !turn.owns_lock()) turn.try_lock_for(kBetweenLooks);
      if (turn.owns_lock()) held_->model.sample(options_);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard held(mutex_);
    failure_ = failure;
    done_ = true;
    changed_.notify_one();
  }

  std::shared_ptr<Held> held_;
  SampleOptions options_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_, closing_;
  std::condition_variable changed_;
  std::string ready_;
  std::vector<std::string> notes_;
  std::exception_ptr failure_;
  bool done_ = false;
  std::thread thread_;
};

struct StreamHandle {
  std::shared_ptr<Stream> stream;
};

// The bytes that were made since; none once it is done.
nb::bytes next(const StreamHandle& self, const nb::callable& noted) {
  refuse_after_fork();
  while (true) {
    const Stream::News news = without_lock([&] { return self.stream->wait(kBetweenLooks); });
    for (const std::string& sentence : news.notes) noted(said(sentence));
    if (!news.bytes.empty()) return nb::bytes(news.bytes.data(), news.bytes.size());
    if (news.done) return nb::bytes("", 0);
    if (PyErr_CheckSignals() != 0) nb::raise_python_error();
  }
}

void make_stream(StreamHandle* self, const ModelHandle& model, const nb::dict& choices,
                 const std::vector<Bytes>& prompts, const std::vector<Bytes>& stops) {
  SampleOptions options = options_of(choices, prompts, stops);
  new (self) StreamHandle{computing([&] { return shared_until_fork<Stream>(model.held, std::move(options)); })};
}

ArrayOut<std::uint8_t> picture(const ModelHandle& self, const Bytes& tokens) {
  return array_of(token_picture(self.held->model.config().data, span_of(tokens)));
}

// The tokens of a picture's or a recording's file, as training reads it.
ArrayOut<std::uint8_t> tokens_of(const ModelHandle& self, const Path& path) {
  const DataConfig& data = self.held->model.config().data;
  return array_of(without_lock(
      [&] { return data.kind == "image" ? read_picture(path.name, data).bytes : read_sound(path.name, data); }));
}

}  // namespace

void bind_sample(nb::module_& module) {
  module.def("sample", sample, "model"_a, "choices"_a, "prompts"_a, "stops"_a, "world"_a.none(), "noted"_a);
  module.def("picture", picture);
  module.def("sound", [](const ModelHandle& self, const Bytes& tokens) {
    return array_of(token_sound(self.held->model.config().data, span_of(tokens)).samples);
  });
  module.def("tokens_of", tokens_of);
  nb::class_<StreamHandle>(module, "Stream")
      .def("__init__", make_stream)
      .def("next", next)
      .def("close", [](const StreamHandle& self) { without_lock([&] { self.stream->close(); }); });
}

}  // namespace longstride::python
