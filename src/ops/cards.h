// Which card each of several processes computes on: pure, from what each of them is shown. device_among of
// ops/backend.h asks them.
#pragma once

#include <string>
#include <vector>

#include "longstride/config.h"

namespace longstride {

// What a process has to say of it to the others.
struct ShownCards {
  Device::Kind asked = Device::automatic;
  std::string host;                // its machine in words
  int machine = 0;                 // its number
  std::vector<std::string> cards;  // by number: the card's identity (CardInfo::id); empty: not to be taken
  std::vector<std::string> names;  // of the same
};

// By process: the number of the first of its cards that no process before it on its machine has taken; -1: there is
// none.
std::vector<int> deal_cards(const std::vector<ShownCards>& processes);

// The device of process `rank` by these rules. Errors: invalid_argument as device_among.
Device device_of(const std::vector<ShownCards>& processes, int rank);

}  // namespace longstride
