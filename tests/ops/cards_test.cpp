// These tests deal cards out to processes: one each, whatever each of them is shown.
#include "ops/cards.h"

#include <gtest/gtest.h>

#include "error_words.h"
#include "ops/backend.h"
#include "parallel/world.h"

namespace longstride {
namespace {

ShownCards shown(std::vector<std::string> cards, int machine = 0, Device::Kind asked = Device::cuda) {
  const std::vector<std::string> names(cards.size(), "a card");
  return {asked, machine == 0 ? "a" : "b", machine, std::move(cards), names};
}

TEST(DealtCards, GoByTheNumberOfAProcessOnItsMachine) {
  const std::vector<std::string> a = {"a0", "a1", "a2"}, b = {"b0", "b1"};
  EXPECT_EQ(deal_cards({shown(a), shown(a), shown(b, 1), shown(a), shown(b, 1)}), (std::vector<int>{0, 1, 0, 2, 1}));
}

TEST(DealtCards, OfWhatEachIsShownAreTheFirstThatIsFree) {
  EXPECT_EQ(deal_cards({shown({"x"}), shown({"y"}), shown({"z"})}), (std::vector<int>{0, 0, 0})) << "one each";
  EXPECT_EQ(deal_cards({shown({"x"}), shown({"x"})}), (std::vector<int>{0, -1}));
  EXPECT_EQ(deal_cards({shown({"", "x", "y"}), shown({"", "x", "y"})}), (std::vector<int>{1, 2})) << "from cuda:1 on";
  EXPECT_EQ(deal_cards({shown({"x", "", "z"}), shown({"x", "", "z"})}), (std::vector<int>{0, 2})) << "one is too old";
  EXPECT_EQ(deal_cards({shown({"x"}), shown({"x"}, 1)}), (std::vector<int>{0, 0})) << "machines are kept apart";
}

TEST(DealtCards, AreNamedByTheProcessThatTakesThem) {
  const std::vector<ShownCards> two = {shown({"x", "y"}), shown({"x", "y"})};
  EXPECT_EQ(device_of(two, 0), Device(Device::cuda, 0));
  EXPECT_EQ(device_of(two, 1), Device(Device::cuda, 1));
}

TEST(DealtCards, ThatAreTooFewAreASentence) {
  const auto words = [](const std::vector<ShownCards>& processes) {
    return words_of_error(ErrorKind::invalid_argument, [&] { device_of(processes, 0); });
  };
  EXPECT_EQ(words({shown({"x"}), shown({"x"}), shown({"y"}, 1)}),
            "device: each process needs a card of its own, and 2 processes on a have 1 card to take; start as many "
            "processes on a machine as it has cards, or use cpu");
  EXPECT_EQ(words({shown({"x", "y"}), shown({"", ""}, 1)}),
            "device: each process needs a card of its own, and 1 process on b has 0 cards to take; start as many "
            "processes on a machine as it has cards, or use cpu");
  EXPECT_EQ(words({shown({"x"}), shown({}, 0, Device::cpu)}),
            "device: process 1 was started with cpu and process 0 with cuda; all need the same");
}

TEST(DealtCards, AreOfOneKind) {
  std::vector<ShownCards> two = {shown({"x", "y"}), shown({"x", "y"})};
  for (ShownCards& one : two) one.names = {"NVIDIA H200", "NVIDIA L40S"};
  EXPECT_EQ(
      words_of_error(ErrorKind::invalid_argument, [&] { device_of(two, 0); }),
      "device: process 1 would compute on NVIDIA L40S and process 0 on NVIDIA H200, which do not give the same bits; "
      "CUDA_VISIBLE_DEVICES shows them cards of one kind");
}

// Processors and cards do not give the same bits.
TEST(DealtCards, AreTakenByAllOrByNoneWhereNobodyAskedForThem) {
  const auto automatic = [](std::vector<std::string> cards) { return shown(std::move(cards), 0, Device::automatic); };
  EXPECT_EQ(device_of({automatic({"x", "y"}), automatic({"x", "y"})}, 1), Device(Device::cuda, 1));
  EXPECT_EQ(device_of({automatic({"x"}), automatic({"x"})}, 0), Device(Device::cpu));
  EXPECT_EQ(device_of({automatic({}), automatic({})}, 0), Device(Device::cpu));
}

TEST(DealtCards, AreWhatWasAskedForWhereAProcessIsAlone) {
  EXPECT_EQ(device_among(world_of_one(), Device::automatic), Device(Device::automatic));
  EXPECT_EQ(device_among(world_of_one(), Device::cpu), Device(Device::cpu));
}

TEST(DealtCards, AreNoneOnProcessors) {
  run_threads(3, [](World& world) { EXPECT_EQ(device_among(world, Device::cpu), Device(Device::cpu)); });
}

}  // namespace
}  // namespace longstride
