// longstride doctor: whether this machine computes, keeps and moves numbers as it should. An instruction set is fixed
// once a process, so that each is examined by a child, the same program told which by LONGSTRIDE_ISA; a child that the
// processor ends is a finding too.
#include "longstride/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "child.h"
#include "command.h"
#include "info_words.h"
#include "longstride/device.h"
#include "longstride/error.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "signals.h"
#include "words.h"

namespace longstride::program {
namespace {

using nlohmann::ordered_json;

struct DoctorArguments {
  DoctorOptions what;
  OutputOptions output;
  std::string device = "auto", part = "all";
  std::int64_t threads = 0;
};

ordered_json to_json(const Finding& finding) {
  ordered_json json;
  json["check"] = finding.check;
  json["instruction_set"] = finding.instruction_set.empty() ? ordered_json() : ordered_json(finding.instruction_set);
  json["verdict"] = to_string(finding.verdict);
  json["sentence"] = finding.sentence;
  json["figures"] = ordered_json::object();
  for (const auto& [name, value] : finding.figures) json["figures"][name] = value;
  return json;
}

Finding finding_of(const ordered_json& json) {
  Finding finding;
  finding.check = json.at("check");
  if (json.at("instruction_set").is_string()) finding.instruction_set = json.at("instruction_set");
  for (const Verdict verdict : {Verdict::ok, Verdict::wrong, Verdict::slow})
    if (json.at("verdict") == to_string(verdict)) finding.verdict = verdict;
  finding.sentence = json.at("sentence");
  for (const auto& [name, value] : json.at("figures").items())
    finding.figures.emplace_back(name, value.is_number() ? value.get<double>() : 0);
  return finding;
}

std::string line_of(const Finding& finding) {
  return fmt::format("{:<6}{:<12} {:<24} {}\n", to_string(finding.verdict), finding.instruction_set, finding.check,
                     finding.sentence);
}

std::int64_t count(const std::vector<Finding>& findings, Verdict verdict) {
  return std::count_if(findings.begin(), findings.end(), [&](const Finding& one) { return one.verdict == verdict; });
}

std::string summary(const std::vector<Finding>& findings) {
  const std::string full = std::generic_category().message(ENOSPC);
  const auto is_short = [&](const Finding& one) {  // of room, which spoils no result
    return one.verdict == Verdict::wrong &&
           (one.check == "disk" || one.check == "memory" || one.sentence.find(full) != std::string::npos);
  };
  const std::int64_t short_of = std::count_if(findings.begin(), findings.end(), is_short);
  const std::int64_t wrong = count(findings, Verdict::wrong) - short_of, slow = count(findings, Verdict::slow);
  const std::string all = fmt::format("{} checks: ", findings.size());
  if (wrong > 0) return all + fmt::format("{} found something wrong; do not believe results of this machine", wrong);
  if (short_of > 0) return all + fmt::format("{} found too little room for a usual run, no result is wrong", short_of);
  if (slow > 0) return all + fmt::format("everything is right, {} found something slow", slow);
  return all + "everything is as it should be";
}

// What a child found about one instruction set.
std::vector<Finding> examined_by_child(const DoctorArguments& arguments, const std::string& instruction_set) {
  const std::vector<std::string> words = {"doctor",
                                          "--part",
                                          "computing",
                                          "--json",
                                          "--quiet",
                                          "--threads",
                                          fmt::format("{}", arguments.threads),
                                          "--device",
                                          arguments.device,
                                          "--seed",
                                          fmt::format("{}", arguments.what.seed),
                                          "--cases",
                                          fmt::format("{}", arguments.what.cases)};
  // Passive: operations this small are over before threads that wait for one another in a loop have stopped to.
  const Child child = run_child(words, {{"LONGSTRIDE_ISA", instruction_set}, {"OMP_WAIT_POLICY", "passive"}});
  const ordered_json json = ordered_json::parse(child.out, nullptr, false);
  if (!json.is_object() || !json.contains("checks")) {
    return {{.check = "computing",
             .instruction_set = instruction_set,
             .verdict = Verdict::wrong,
             .sentence = "the process that was to examine it " + child.end_words()}};
  }
  std::vector<Finding> findings;
  for (const ordered_json& one : json["checks"]) findings.push_back(finding_of(one));
  return findings;
}

std::vector<Finding> examine(const DoctorArguments& arguments, DoctorOptions options, ProgressLine& line) {
  std::vector<Finding> all;
  const bool every = arguments.part == "all";
  const auto add = [&](const std::vector<Finding>& more) { all.insert(all.end(), more.begin(), more.end()); };
  if (every || arguments.part == "storage") add(examine_storage(options));  // first: the folder may be a wrong one
  if (every || arguments.part == "computing") {
    const char* forced = std::getenv("LONGSTRIDE_ISA");
    if (forced != nullptr && *forced != '\0') {
      add(examine_computing(options));
    } else {
      for (const std::string& set : machine_info().instruction_sets) {
        if (options.stop->load()) break;
        line.show("operations and a network with " + set);
        const std::vector<Finding> found = examined_by_child(arguments, set);
        if (options.stop->load()) break;  // the child was told as well
        for (const Finding& finding : found) options.found(finding);
        add(found);
      }
    }
  }
  if (every || arguments.part == "speed") add(examine_speed(options));
  return all;
}

int run(const DoctorArguments& arguments) {
  apply_threads(arguments.threads);
  DoctorOptions options = arguments.what;
  options.device = parse_device(arguments.device);
  if (arguments.part != "all" && arguments.part != "computing" && arguments.part != "storage" &&
      arguments.part != "speed")
    throw_invalid(fmt::format("--part: needs all, computing, storage or speed, got \"{}\"", arguments.part));
  if (options.cases < 1 || options.cases > 1000)
    throw_invalid(fmt::format("--cases: needs a whole number in [1, 1000], got {}", options.cases));
  const MachineInfo machine = machine_info();
  options.stop = stop_on_signals();
  ProgressLine line(arguments.output.quiet);
  options.begun = [&](const std::string& check) { line.show(check); };
  options.found = [&](const Finding& finding) {
    if (arguments.output.json) return;
    line.clear();
    print(line_of(finding));
  };
  const std::vector<Finding> findings = examine(arguments, options, line);
  line.clear();
  if (options.stop->load()) {
    line.print(message("doctor", "interrupted: not everything was looked at"));
    return kInterrupted;
  }
  if (arguments.output.json) {
    ordered_json json;
    json["processor"] = machine.processor;
    json["threads"] = machine.threads;
    json["instruction_sets"] = machine.instruction_sets;
    json["libraries"] = machine.libraries;
    json["cards"] = cards_json();
    json["wrong"] = count(findings, Verdict::wrong);
    json["slow"] = count(findings, Verdict::slow);
    json["checks"] = ordered_json::array();
    for (const Finding& finding : findings) json["checks"].push_back(to_json(finding));
    print_json(json);
  } else {
    print(fmt::format("{}, {}: {}\n", processor_words(machine), fmt::join(machine.libraries, ", "), summary(findings)));
    if (!cards().empty()) print(card_words() + "\n");
  }
  return count(findings, Verdict::wrong) > 0 ? 1 : 0;
}

}  // namespace

Command doctor_command(CommandLine program) {
  CommandLine app = program.add_command("doctor", "Say whether this machine computes, keeps and moves numbers rightly");
  auto arguments = std::make_shared<DoctorArguments>();
  app.add_option("--part", arguments->part, "What is looked at")
      .type_name("all|computing|storage|speed")
      .capture_default_str();
  app.add_option("--folder", arguments->what.folder,
                 "Where runs will be written: a checkpoint is written and read there")
      .type_name("FOLDER")
      .capture_default_str();
  app.add_option("--cases", arguments->what.cases, "Random shapes an operation and number format")
      .type_name("N")
      .capture_default_str();
  app.add_option("--seed", arguments->what.seed, "Of shapes and numbers").type_name("S").capture_default_str();
  add_threads_option(app, arguments->threads);
  add_device_option(app, arguments->device);
  add_output_options(app, arguments->output);
  app.add_example("longstride doctor --folder runs");
  return {app, [arguments] { return run(*arguments); }};
}

}  // namespace longstride::program
