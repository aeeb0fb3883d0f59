// A text that a person and a model write by turns, through one cache: what was read stays read.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "longstride/model.h"

namespace longstride::program {

class Conversation {
 public:
  explicit Conversation(Model& model) : decoder_(model), sequence_(decoder_.join()) {}

  void add(std::string_view text);  // what the model is to go on from
  // options.tokens more, or up to one of options.stops, each told to `made`. stop: ends it early. Error diverged.
  void go_on(const SampleOptions& options, const std::function<void(std::uint8_t)>& made,
             const std::atomic<bool>& stop);
  void forget();       // everything
  bool take_back();    // what go_on made last; false where there is nothing to take back
  std::int64_t size() const { return std::ssize(tokens_); }
  bool moved_on() const { return begin_ > 0; }  // the context no longer holds all of it

 private:
  std::span<const float> read(const std::atomic<bool>& stop);

  Decoder decoder_;
  Decoder::Sequence sequence_;
  std::vector<std::int32_t> tokens_;
  std::int64_t begin_ = 0;      // of the window that the decoder has read
  std::int64_t turn_ = -1;      // where the model's last turn began; -1: none that may be taken back
  std::vector<float> logits_;   // of what follows, once everything is read
};

}  // namespace longstride::program
