// This says in words what a machine lacks of what cards need.
#include "cuda/usable.h"

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride::cuda {

std::string version_words(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

// A driver of a major version runs what was made with a later minor version of it.
std::string why_unusable(const Found& found, int which) {
  constexpr int kLeastMajor = 8;  // bfloat16 products, asynchronous copies
  if (found.driver_version == 0) return "no NVIDIA driver was found";
  if (found.driver_version / 1000 < found.runtime_version / 1000)
    return fmt::format("the NVIDIA driver knows CUDA {}, and this build was made with {}",
                       version_words(found.driver_version), version_words(found.runtime_version));
  if (!found.failure.empty()) return "CUDA did not start (" + found.failure + ")";
  if (found.cards.empty()) return "no NVIDIA card was found";
  if (which < 0 || which >= static_cast<int>(found.cards.size()))
    return fmt::format("there is no NVIDIA card of number {}", which);
  const Found::Card& card = found.cards[static_cast<std::size_t>(which)];
  if (card.major < kLeastMajor)
    return fmt::format("the card {} has compute capability {}.{}, and at least {}.0 is needed", card.name, card.major,
                       card.minor, kLeastMajor);
  return "";
}

std::vector<CardInfo> cards_of(const Found& found) {
  std::vector<CardInfo> cards;
  for (const Found::Card& card : found.cards)
    cards.push_back({card.name, fmt::format("{}.{}", card.major, card.minor), card.memory_bytes,
                     why_unusable(found, static_cast<int>(cards.size())), card.id});
  return cards;
}

std::string words_of(const Found& found) {
  std::vector<std::string> cards;
  for (const CardInfo& card : cards_of(found)) {
    const std::string number = found.cards.size() > 1 ? fmt::format("cuda:{} ", cards.size()) : "";
    const std::string but = card.why_not.empty() ? "" : ", not used: " + card.why_not;
    cards.push_back(
        fmt::format("{}{} ({:.1f} GB{})", number, card.name, static_cast<double>(card.memory_bytes) / 1e9, but));
  }
  return fmt::format("CUDA {}; {}", version_words(found.runtime_version),
                     cards.empty() ? why_unusable(found) : fmt::format("{}", fmt::join(cards, ", ")));
}

void require_memory_to_begin(std::int64_t free_bytes) {
  constexpr std::int64_t kToBegin = 256'000'000;
  if (free_bytes >= kToBegin) return;
  throw Error(ErrorKind::exhausted, fmt::format("cuda: needs {} MB of the card's memory to begin with, {} MB are free",
                                                kToBegin / 1'000'000, free_bytes / 1'000'000));
}

}  // namespace longstride::cuda
