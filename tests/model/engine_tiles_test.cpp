// These tests hold what an engine reads through the tiles of its patterns, in one piece or several, against the
// network and against token by token.
#include <atomic>
#include <functional>

#include "longstride/device.h"
#include "model/engine.h"
#include "model/engine_case.h"
#include "watched_backend.h"

namespace longstride {
namespace {

constexpr auto kTiles = Engine::Reading::tiles;
constexpr std::int64_t kContext = 700;
constexpr std::int64_t kOnce = Engine::kFewestInTiles + 1;  // the fewest tokens of which some go through tiles

// Sequence 1 of the case is read in pieces of these numbers of tokens, then `steps` tokens follow one by one: the
// logits after each piece and each step.
std::vector<float> read_in(const EngineCase& c, Engine& engine, Engine::Sequence place,
                           const std::vector<std::int64_t>& pieces, std::int64_t steps) {
  const std::int64_t V = c.model.vocabulary;
  std::vector<float> found;
  std::int64_t read = 0;
  for (const std::int64_t piece : pieces) {
    const auto tokens = c.sequence(1).subspan(static_cast<std::size_t>(read), static_cast<std::size_t>(piece));
    const float* logits = engine.read(place, tokens, nullptr, kTiles);
    read += piece;
    EXPECT_EQ(engine.position(place), read + 1);
    found.insert(found.end(), logits, logits + V);
  }
  for (std::int64_t step = 0; step < steps; ++step) {
    const Engine::Next next = c.next(engine, place, 1);
    const float* logits = engine.step({&next, 1});
    found.insert(found.end(), logits, logits + V);
  }
  return found;
}

// The same of the network's logits.
std::vector<float> expected_of(const EngineCase& c, const std::vector<std::int64_t>& pieces, std::int64_t steps) {
  const std::int64_t V = c.model.vocabulary, T = c.model.context;
  const std::vector<float> whole = c.whole();
  std::vector<float> expected;
  std::int64_t read = 0;
  const auto add = [&] {
    const auto row = whole.begin() + (T + read) * V;
    expected.insert(expected.end(), row, row + V);
  };
  for (const std::int64_t piece : pieces) read += piece, add();
  for (std::int64_t step = 0; step < steps; ++step) ++read, add();
  return expected;
}

void expect_is_the_networks(const EngineCase& c, const std::vector<std::int64_t>& pieces, std::int64_t steps,
                            const std::string& what) {
  Engine engine = c.engine(1);
  expect_near(read_in(c, engine, engine.join(), pieces, steps), expected_of(c, pieces, steps), tolerance_of(c.type),
              what);
}

TEST(EngineTiles, GiveTheNetworksLogitsForEveryPattern) {
  for (const std::string& layout : kLayouts)
    expect_is_the_networks(EngineCase(model_with(layout, kContext), DType::float32), {kOnce + 45, kOnce, 20}, 40,
                           layout);
}

TEST(EngineTiles, GiveTheNetworksLogitsWhereNoQueryOfABlockReadsAKey) {
  for (const char* layout : {"summary(900,2)", "previous_row(300)", R"j(["row(64)", "summary(800,8)"])j"})
    expect_is_the_networks(EngineCase(model_with(layout, kContext), DType::float32), {kOnce, kOnce}, 10, layout);
}

TEST(EngineTiles, GiveTheNetworksLogitsInBfloat16WithHashEmbeddingsAndConvolution) {
  for (const char* layout : {"fixed(8,2)", "strided(20)", R"j([["local(7)", "column(8)", "digits(3,3)"]])j"})
    expect_is_the_networks(EngineCase(hashed(model_with(layout, kContext)), DType::bfloat16), {kOnce + 45, kOnce}, 40,
                           layout);
}

TEST(EngineTiles, GiveTheNetworksLogitsForAnyNumberOfTokens) {
  const EngineCase c(hashed(model_with("fixed(8,3)", kContext)), DType::float32);
  for (const std::int64_t count : {kOnce - 1, kOnce, kOnce + 1, kOnce + 63, kOnce + 64, kContext - 1})
    expect_is_the_networks(c, {count}, std::min<std::int64_t>(9, kContext - 1 - count), std::to_string(count));
}

TEST(EngineTiles, LeaveOtherSequencesAsTheyAre) {
  const EngineCase c(model_with("strided(10)", kContext), DType::float32);
  Engine alone = c.engine(1), shared = c.engine(2);
  const std::vector<float> expected = read_in(c, alone, alone.join(), {kOnce, kOnce}, 5);
  const Engine::Sequence bystander = shared.join(), place = shared.join();
  shared.read(bystander, c.sequence(0).first(30));
  EXPECT_EQ(read_in(c, shared, place, {kOnce, kOnce}, 5), expected);
  const Engine::Next next = c.next(shared, bystander, 0);
  EXPECT_TRUE(c.are_those(shared.step({&next, 1}), c.alone(c.sequence(0).first(40)), 31));
}

TEST(EngineTiles, AnyNumberOfThreadsGivesTheSameBits) {
  const EngineCase c(model_with(R"j(["local(6) | column(7)", "fixed(16,2)"])j", kContext), DType::bfloat16);
  std::vector<std::vector<float>> found;
  for (const int threads : {1, 2, 3}) {
    set_threads(threads);
    Engine engine = c.engine(1);
    found.push_back(read_in(c, engine, engine.join(), {kOnce + 45, kOnce}, 3));
  }
  set_threads(0);
  EXPECT_EQ(found[0], found[1]);
  EXPECT_EQ(found[0], found[2]);
}

// The first piece is broken off between two blocks, and nothing of it stays; a later one is read to its end.
TEST(EngineTiles, StopAndGoOn) {
  const EngineCase c(model_with("fixed(8,2)", kContext), DType::float32);
  const std::vector<float> expected = expected_of(c, {kOnce, kOnce, 2}, 4);
  tests::WatchedBackend backend(*c.backend);
  Engine engine(backend, c.model, {1, kContext, c.type}, c.weights());
  const Engine::Sequence place = engine.join();
  std::atomic<bool> stop = false;
  std::vector<float> found;
  const auto add = [&](const float* logits) {
    ASSERT_NE(logits, nullptr);
    found.insert(found.end(), logits, logits + c.model.vocabulary);
  };
  backend.uploaded = [&] { stop = true; };  // while a piece is read
  EXPECT_EQ(engine.read(place, c.sequence(0).first(kOnce), &stop, kTiles), nullptr);
  EXPECT_EQ(engine.position(place), 0);
  backend.uploaded = nullptr, stop = false;
  add(engine.read(place, c.sequence(1).first(kOnce), &stop, kTiles));
  backend.uploaded = [&] { stop = true; };
  const auto rest = c.sequence(1).subspan(kOnce);
  add(engine.read(place, rest.first(kOnce), &stop, kTiles));
  EXPECT_EQ(engine.read(place, rest.subspan(kOnce, 2), &stop, kTiles), nullptr);  // it is told so before it begins
  EXPECT_EQ(engine.position(place), 2 * kOnce + 1);
  backend.uploaded = nullptr, stop = false;
  add(engine.read(place, rest.subspan(kOnce, 2), &stop, kTiles));
  for (std::int64_t step = 0; step < 4; ++step) {
    const Engine::Next next = c.next(engine, place, 1);
    add(engine.step({&next, 1}));
  }
  expect_near(found, expected, kFloat32, "stopped");
}

}  // namespace
}  // namespace longstride
