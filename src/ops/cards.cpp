// This deals the cards of machines out to the processes on them.
#include "ops/cards.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "longstride/device.h"
#include "longstride/error.h"
#include "ops/backend.h"
#include "parallel/world.h"

namespace longstride {

namespace {

ShownCards own_cards(Device asked) {
  ShownCards mine;
  mine.asked = asked.kind;
  if (asked.kind == Device::cpu) return mine;
  int number = 0;
  for (const CardInfo& card : cards()) {
    mine.cards.push_back(number++ >= asked.card && card.why_not.empty() ? card.id : "");
    mine.names.push_back(card.name);
  }
  return mine;
}

// What was asked for, then two lines a card.
std::string text_of(const ShownCards& mine) {
  std::string text = std::to_string(static_cast<int>(mine.asked));
  for (std::size_t card = 0; card < mine.cards.size(); ++card)
    text += '\n' + mine.cards[card] + '\n' + mine.names[card];
  return text;
}

ShownCards shown_of(const std::string& text, const Member& member) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  ShownCards shown;
  shown.asked = static_cast<Device::Kind>(std::stoi(line));
  shown.host = member.host;
  shown.machine = member.machine;
  for (std::string card; std::getline(lines, card) && std::getline(lines, line);) {
    shown.cards.push_back(card);
    shown.names.push_back(line);
  }
  return shown;
}

// Kinds of cards differ in their bits, as instruction sets do.
void require_one_kind(const std::vector<ShownCards>& processes, const std::vector<int>& dealt) {
  const auto name = [&](std::size_t p) { return processes[p].names[static_cast<std::size_t>(dealt[p])]; };
  for (std::size_t p = 1; p < processes.size(); ++p)
    if (name(p) != name(0))
      throw_invalid(
          fmt::format("device: process {} would compute on {} and process 0 on {}, which do not give the same "
                      "bits; CUDA_VISIBLE_DEVICES shows them cards of one kind",
                      p, name(p), name(0)));
}

[[noreturn]] void throw_too_few(const std::vector<ShownCards>& processes, int lacking) {
  const ShownCards& one = processes[static_cast<std::size_t>(lacking)];
  std::int64_t here = 0;
  std::set<std::string> there;
  for (const ShownCards& process : processes) {
    if (process.machine != one.machine) continue;
    ++here;
    there.insert(process.cards.begin(), process.cards.end());
  }
  there.erase("");
  throw_invalid(
      fmt::format("device: each process needs a card of its own, and {} process{}{} {} {} card{} to take; start as "
                  "many processes on a machine as it has cards, or use cpu",
                  here, here == 1 ? "" : "es", one.host.empty() ? "" : " on " + one.host, here == 1 ? "has" : "have",
                  there.size(), there.size() == 1 ? "" : "s"));
}

}  // namespace

std::vector<int> deal_cards(const std::vector<ShownCards>& processes) {
  std::set<std::pair<int, std::string>> taken;  // by machine
  std::vector<int> dealt;
  for (const ShownCards& process : processes) {
    const auto free = [&](const std::string& card) {
      return !card.empty() && !taken.contains({process.machine, card});
    };
    const auto card = std::find_if(process.cards.begin(), process.cards.end(), free);
    const bool found = card != process.cards.end();
    if (found) taken.insert({process.machine, *card});
    dealt.push_back(found ? static_cast<int>(card - process.cards.begin()) : -1);
  }
  return dealt;
}

Device device_of(const std::vector<ShownCards>& processes, int rank) {
  const Device::Kind asked = processes.front().asked;
  for (std::size_t p = 1; p < processes.size(); ++p)
    if (processes[p].asked != asked)
      throw_invalid(fmt::format("device: process {} was started with {} and process 0 with {}; all need the same", p,
                                to_string(Device(processes[p].asked)), to_string(Device(asked))));
  if (asked == Device::cpu) return Device::cpu;
  const std::vector<int> dealt = deal_cards(processes);
  const auto lacking = std::find(dealt.begin(), dealt.end(), -1);
  if (lacking != dealt.end() && asked == Device::automatic) return Device::cpu;
  if (lacking != dealt.end()) throw_too_few(processes, static_cast<int>(lacking - dealt.begin()));
  require_one_kind(processes, dealt);
  return Device(Device::cuda, dealt[static_cast<std::size_t>(rank)]);
}

Device device_among(World& world, Device asked) {
  check_device(asked);
  if (world.size() == 1) return asked;
  const std::vector<Member> members = world.members();
  std::vector<ShownCards> processes;
  for (const std::string& text : gather(world, text_of(own_cards(asked))))
    processes.push_back(shown_of(text, members[processes.size()]));
  return device_of(processes, world.rank());
}

}  // namespace longstride
