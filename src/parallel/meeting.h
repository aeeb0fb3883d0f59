// How processes that were started apart find one another: all come to the first one, which compares what must be the
// same in all and tells everyone who the others are. Whatever is wrong is said to all that have come.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/sockets.h"

namespace longstride {

// A process as the others know it.
struct Participant {
  std::string host;
  std::string machine;  // the same in two processes: they share cores, and one may end the other by its number
  int process = 0;      // the system's number of it
  std::string address;  // as the first one saw it; of the first itself: empty
  int port = 0;         // where it takes connections for data; 0: nowhere
};

struct Meeting {
  int rank = 0, size = 1;
  std::string where;                   // the first one's place as sentences call it, "a:29500"
  std::vector<std::string> addresses;  // of the first one, each to be tried
  int port = 0;
  std::string build;  // must be the same in all
  std::string key;    // as well: of several runs at one place. Told by the first one where it is empty
  int data_port = 0;
  const std::atomic<bool>* stop = nullptr;
  double patience_s = 25;
  double silence_s = 15;  // after which one that says nothing counts as lost
};

struct Met {
  std::vector<Participant> all;        // by rank
  std::vector<net::Channel> channels;  // by rank. Of the first one: to all others; of these: to the first one
  std::string key;
  std::string first;      // of others: the address that the first one was found at
  double silence_s = 15;  // the first one's
};

// By the first one, whose listener waits at the place. Errors: unavailable where somebody does not come or is of
// another build, invalid_argument where ranks or sizes do not fit, stopped.
Met meet_as_first(const Meeting& meeting, const Descriptor& listener);
// By the others.
Met meet_at_first(const Meeting& meeting);

std::string random_key();
std::string process_words(int rank, int size, const std::string& host);  // process 2 of 4 on b
Participant this_process();                                              // without address and port

}  // namespace longstride
