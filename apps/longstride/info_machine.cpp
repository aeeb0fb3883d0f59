// What info says where it is asked about nothing else: this machine, its card, and what there is of memory.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "info_words.h"
#include "longstride/device.h"
#include "words.h"

namespace longstride::program {

nlohmann::ordered_json cards_json() {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const CardInfo& card : cards())
    json.push_back(
        {{"name", card.name},
         {"capability", card.capability},
         {"memory_bytes", card.memory_bytes},
         {"why_not", card.why_not.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(card.why_not)}});
  return json;
}

nlohmann::ordered_json machine_json() {
  const MachineInfo machine = machine_info();
  nlohmann::ordered_json json;
  json["processor"] = machine.processor;
  json["threads"] = machine.threads;
  json["instruction_sets"] = machine.instruction_sets;
  json["instruction_set"] = machine.instruction_set;
  json["memory_bytes"] = machine.memory_bytes;
  json["memory_available_bytes"] = machine.memory_available_bytes;
  json["libraries"] = machine.libraries;
  json["card"] = card_words();
  json["cards"] = cards_json();
  return json;
}

std::string machine_words() {
  const MachineInfo machine = machine_info();
  return two_columns({{"processor", processor_words(machine)},
                      {"instructions", instructions_words(machine)},
                      {"memory", fmt::format("{}, of which {} are free", bytes_words(machine.memory_bytes),
                                             bytes_words(machine.memory_available_bytes))},
                      {"card", card_words()},
                      {"libraries", fmt::format("{}", fmt::join(machine.libraries, ", "))}}) +
         "\nlongstride plan says what a run takes of this and whether it fits, longstride doctor tries the machine;\n"
         "info RUN is about a run, info --data PATH about data\n";
}

}  // namespace longstride::program
