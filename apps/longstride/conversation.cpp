// This keeps the decoder at the text's end, and lets its window move on where the context is full.
#include "conversation.h"

#include <algorithm>

namespace longstride::program {

void Conversation::add(std::string_view text) {
  for (const char byte : text) tokens_.push_back(static_cast<unsigned char>(byte));
}

void Conversation::forget() {
  tokens_.clear();
  sequence_.restart();
  begin_ = 0;
  turn_ = -1;
}

bool Conversation::take_back() {
  if (turn_ < 0) return false;
  tokens_.resize(static_cast<std::size_t>(turn_));
  turn_ = -1;
  begin_ = 0;
  sequence_.restart();
  return true;
}

// Logits of the token that follows all there is; empty where it was stopped.
std::span<const float> Conversation::read(const std::atomic<bool>& stop) {
  const std::int64_t n = decoder_.length(), most = n - 1, shift = std::max<std::int64_t>(1, n / 2);
  if (size() - begin_ > most) {  // as `sample` does it: the second half is read again
    begin_ += ((size() - begin_ - n) / shift + 1) * shift;
    sequence_.restart();
  }
  const auto unread = std::span(tokens_).subspan(static_cast<std::size_t>(begin_ + sequence_.tokens_read()));
  if (unread.empty() && sequence_.tokens_read() > 0) return logits_;
  const std::span<const float> logits = unread.size() == 1 && sequence_.tokens_read() > 0
                                            ? decoder_.step({{&sequence_, unread.front()}})
                                            : sequence_.read(unread, &stop);
  logits_.assign(logits.begin(), logits.end());
  return logits_;
}

void Conversation::go_on(const SampleOptions& options, const std::function<void(std::uint8_t)>& made,
                         const std::atomic<bool>& stop) {
  const std::int64_t turn = size();
  std::vector<std::uint8_t> text;  // of this turn
  for (std::int64_t count = 1; count <= options.tokens && !stop.load(); ++count) {
    const std::span<const float> logits = read(stop);
    if (logits.empty()) break;
    const std::uint8_t token = choose_token(logits, options, size());
    tokens_.push_back(token);
    turn_ = turn;
    text.push_back(token);
    made(token);
    if (ends_by_stop(options, text, count)) break;
  }
}

}  // namespace longstride::program
