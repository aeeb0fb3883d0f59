// These tests let the doctor look at a device that is as it should be, and at devices whose results were spoiled.
#include <gtest/gtest.h>

#include <stdlib.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "doctor/computing.h"
#include "error_words.h"
#include "longstride/device.h"
#include "longstride/doctor.h"
#include "watched_backend.h"

namespace longstride {
namespace {

using tests::WatchedBackend;

DoctorOptions quick() {
  DoctorOptions options;
  options.cases = 2;
  return options;
}

std::set<std::string> wrong(const std::vector<Finding>& findings) {
  std::set<std::string> names;
  for (const Finding& finding : findings)
    if (finding.verdict == Verdict::wrong) names.insert(finding.check);
  return names;
}

// The words of the check of this name.
std::string sentence(const std::vector<Finding>& findings, const std::string& check) {
  for (const Finding& finding : findings)
    if (finding.check == check) return finding.sentence;
  return "no such check";
}

template <std::size_t... I>
std::vector<std::string> names_of_operations(std::index_sequence<I...>) {
  return {name_of(Operation(std::in_place_index<I>))...};
}

// The first byte of an operand, on a device whose memory the host reaches.
template <class Operand>
std::byte* bytes_of_first(const Program& program, const Operand& operand) {
  return reinterpret_cast<std::byte*>(program.bound(operand).data);
}

// Flips a bit of the exponent in the first operand that the operation writes.
void spoil(const Program& program, const Operation& operation) {
  std::byte* first = nullptr;
  std::int64_t size = 0;
  each_operand(operation, [&](Use use, const auto& operand) {
    if (use == Use::reads || !operand || first != nullptr) return;
    first = bytes_of_first(program, operand);
    if constexpr (requires { operand.type; })
      size = size_of(operand.type);
    else
      size = sizeof(*operand.data);
  });
  ASSERT_NE(first, nullptr);
  first[size - 1] ^= std::byte{0x40};
}

TEST(Doctor, FindsNothingWrongWithThisDeviceAndLooksAtEverything) {
  std::vector<std::string> begun;
  std::vector<Finding> found;
  DoctorOptions options = quick();
  options.begun = [&](const std::string& check) { begun.push_back(check); };
  options.found = [&](const Finding& finding) { found.push_back(finding); };
  const int threads = machine_info().threads;
  const std::vector<Finding> findings = examine_computing(options);
  EXPECT_EQ(machine_info().threads, threads);
  ASSERT_EQ(findings.size(), 23u);
  EXPECT_EQ(found.size(), findings.size());
  for (std::size_t i = 0; i < findings.size(); ++i) {
    EXPECT_EQ(findings[i].verdict, Verdict::ok) << findings[i].check << ": " << findings[i].sentence;
    EXPECT_EQ(findings[i].instruction_set, machine_info().instruction_set);
    EXPECT_EQ(findings[i].check, begun[i]);
    EXPECT_FALSE(findings[i].figures.empty()) << findings[i].check;
  }
}

TEST(Doctor, FindsTheOperationWhoseResultIsSpoiledWhicheverItIs) {
  const std::unique_ptr<Backend> cpu = make_cpu_backend();
  for (const std::string& name : names_of_operations(std::make_index_sequence<std::variant_size_v<Operation>>())) {
    if (name == "mark") continue;  // computes nothing
    WatchedBackend backend(*cpu);
    bool spoiled = false;
    backend.ran = [&](const Program& program) {
      for (const Operation& operation : program.operations()) {
        if (name_of(operation) != name || spoiled) continue;
        spoil(program, operation);
        spoiled = true;  // once is enough to be found
      }
    };
    const std::set<std::string> found = wrong(doctor::examine_operations(backend, quick()));
    EXPECT_TRUE(spoiled) << "the doctor never asks for " << name;
    ASSERT_EQ(found.size(), 1u) << name;
    const bool together = name == "zero" || name == "round" || name == "exchange";
    EXPECT_EQ(*found.begin(), together ? "zero, round, exchange" : name == "attention_backward" ? "attention" : name);
  }
}

// Calls `change` with where the result of each linear operation begins.
std::vector<Finding> with_linear_changed(const std::function<void(std::byte* first, const Matrix& y)>& change) {
  const std::unique_ptr<Backend> cpu = make_cpu_backend();
  WatchedBackend backend(*cpu);
  backend.ran = [&](const Program& program) {
    for (const Operation& operation : program.operations())
      if (const auto* op = std::get_if<Linear>(&operation)) change(bytes_of_first(program, op->y), op->y);
  };
  return doctor::examine_operations(backend, quick());
}

TEST(Doctor, FindsBitsThatDependOnThreads) {
  const std::vector<Finding> findings = with_linear_changed([](std::byte* first, const Matrix&) {
    if (machine_info().threads > 1) *first ^= std::byte{1};
  });
  EXPECT_EQ(wrong(findings), std::set<std::string>{"linear"});
  EXPECT_NE(sentence(findings, "linear").find("threads give other bits than one"), std::string::npos)
      << sentence(findings, "linear");
}

TEST(Doctor, FindsWhatIsWrittenBesideTheResult) {
  const std::vector<Finding> findings =
      with_linear_changed([](std::byte* first, const Matrix& y) { first[bytes_of(y)] ^= std::byte{1}; });
  EXPECT_EQ(wrong(findings), std::set<std::string>{"linear"});
  EXPECT_NE(sentence(findings, "linear").find("something is written behind operands"), std::string::npos)
      << sentence(findings, "linear");
}

TEST(Doctor, SaysOfAnErrorWhatItSays) {
  const std::unique_ptr<Backend> cpu = make_cpu_backend();
  WatchedBackend backend(*cpu);
  backend.running = [] { throw Error(ErrorKind::exhausted, "the device is on fire"); };
  for (const Finding& finding : doctor::examine_network(backend, quick())) {
    EXPECT_EQ(finding.verdict, Verdict::wrong) << finding.check;
    EXPECT_EQ(finding.sentence, "the device is on fire");
  }
}

TEST(Doctor, FindsGradientsThatAreNotTheLosss) {
  const std::unique_ptr<Backend> cpu = make_cpu_backend();
  WatchedBackend backend(*cpu);
  backend.ran = [&](const Program& program) {
    for (const Operation& operation : program.operations()) {
      const auto* op = std::get_if<VocabularyLoss>(&operation);
      if (op == nullptr || !op->dw) continue;
      for (std::int64_t i = 0; i < op->dw.rows * op->dw.cols; ++i) program.bound(op->dw).f32()[i] *= 1.1f;
    }
  };
  const std::vector<Finding> findings = doctor::examine_network(backend, quick());
  EXPECT_EQ(wrong(findings), std::set<std::string>{"gradients"});
  EXPECT_NE(sentence(findings, "gradients").find("output.weight"), std::string::npos);
}

// The first logit of every row that is decoded.
std::set<std::string> wrong_with_decoded(const std::function<void(float& logit)>& change) {
  const std::unique_ptr<Backend> cpu = make_cpu_backend();
  WatchedBackend backend(*cpu);
  backend.ran = [&](const Program& program) {
    const Linear* last = nullptr;
    bool decodes = false;
    for (const Operation& operation : program.operations()) {
      decodes |= std::holds_alternative<DecodeAttention>(operation);
      if (const auto* op = std::get_if<Linear>(&operation)) last = op;
    }
    if (decodes && last->y.type == DType::float32) change(*program.bound(last->y).f32());
  };
  return wrong(doctor::examine_network(backend, quick()));
}

TEST(Doctor, FindsDecodingThatIsNotTheWholePass) {
  EXPECT_EQ(wrong_with_decoded([](float& logit) { logit += 0.5f; }), std::set<std::string>{"decoding"});
  EXPECT_EQ(wrong_with_decoded([](float& logit) { logit = NAN; }), (std::set<std::string>{"decoding", "threads"}));
}

TEST(Doctor, FindsANetworkWhoseBitsDependOnThreads) {
  EXPECT_EQ(wrong_with_decoded([](float& logit) {
              if (machine_info().threads > 1) logit = std::nextafter(logit, INFINITY);
            }),
            std::set<std::string>{"threads"});
}

TEST(Doctor, LeavesOutWhatFollowsWhereItIsToldToStop) {
  std::atomic<bool> stop = false;
  DoctorOptions options = quick();
  options.stop = &stop;
  options.found = [&](const Finding&) { stop = true; };
  const std::unique_ptr<Backend> cpu = make_cpu_backend();
  EXPECT_EQ(doctor::examine_operations(*cpu, options).size(), 1u);
  EXPECT_EQ(examine_storage(options).size(), 0u);
}

TEST(Doctor, WritesACheckpointAndLeavesNothingBehind) {
  std::string folder = (std::filesystem::temp_directory_path() / "longstride-doctor-test-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  DoctorOptions options;
  options.folder = folder;
  const std::vector<Finding> findings = examine_storage(options);
  ASSERT_EQ(findings.size(), 4u);
  for (const char* name : {"checkpoint", "resumption"})
    EXPECT_FALSE(wrong(findings).contains(name)) << sentence(findings, name);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
  EXPECT_EQ(error_words(ErrorKind::invalid_argument, [&] { examine_storage(options); }),
            "cannot write \"" + folder + "\": No such file or directory");
}

}  // namespace
}  // namespace longstride
