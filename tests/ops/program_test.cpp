// These tests are about programs: where buffers lie, which addresses operands get, what compiling refuses, when marks
// are told.
#include "ops/program.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <functional>
#include <stdexcept>

#include "error_words.h"
#include "ops/buffer.h"
#include "ops/on_device.h"

namespace longstride::tests {
namespace {

Operation zero_of(const Matrix& m) { return Zero{Array<float>{static_cast<float*>(m.data), m.rows * m.cols, m.place}}; }

bool share_bytes(const MemoryPlan& plan, std::size_t a, std::size_t b) {
  return plan.offset(a) < plan.offset(b) + plan.bytes(b) && plan.offset(b) < plan.offset(a) + plan.bytes(a);
}

TEST(Program, BuffersThatAreNeverAliveTogetherShareBytes) {
  Program program;
  const Matrix a = program.matrix("a", Life::passing, DType::float32, 100, 10);
  const Matrix b = program.matrix("b", Life::passing, DType::float32, 100, 10);
  const Matrix c = program.matrix("c", Life::passing, DType::float32, 100, 10);
  program.add(zero_of(a)), program.add(zero_of(b)), program.add(zero_of(c.rows_from(50, 1)));
  program.lay_out();
  EXPECT_EQ(program.arena_bytes(), 4032);  // 4000, up to a cache line: one's bytes are enough for three
  for (std::size_t one : {0, 1, 2}) EXPECT_EQ(program.plan().offset(one), 0);
}

TEST(Program, BuffersThatOneOperationNamesAreApart) {
  Program program;
  const auto a = program.array<float>("a", Life::passing, 1000), b = program.array<float>("b", Life::passing, 500);
  const auto c = program.array<float>("c", Life::passing, 10);
  program.add(Exchange{a.from(0, 500), b});
  program.add(Zero{c});
  program.add(Zero{b.from(499)});
  program.lay_out();
  EXPECT_FALSE(share_bytes(program.plan(), 0, 1));
  EXPECT_FALSE(share_bytes(program.plan(), 1, 2));  // b is alive around c
  EXPECT_TRUE(share_bytes(program.plan(), 0, 2));   // a is over
}

TEST(Program, LastingBuffersShareBytesWithNone) {
  Program program;
  std::vector<Array<float>> arrays;
  for (int i = 0; i < 12; ++i)
    arrays.push_back(program.array<float>("a", i % 3 == 0 ? Life::lasting : Life::passing, 10 + 50 * (i % 5)));
  for (const Array<float>& array : arrays) program.add(Zero{array});
  const auto unnamed = program.array<float>("no operation names it", Life::lasting, 77);
  const auto unused = program.array<float>("nobody ever", Life::passing, 100000);
  program.lay_out();
  const MemoryPlan& plan = program.plan();
  for (std::size_t a = 0; a < plan.count(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      const bool lasting = (a < 12 && a % 3 == 0) || a == 12 || (b < 12 && b % 3 == 0);
      EXPECT_FALSE((lasting || plan.overlap_in_time(a, b)) && share_bytes(plan, a, b)) << a << " and " << b;
    }
  }
  EXPECT_GE(plan.bytes(static_cast<std::size_t>(unnamed.place.buffer)), 77 * 4);
  EXPECT_EQ(plan.bytes(static_cast<std::size_t>(unused.place.buffer)), 0);  // takes no room
}

// Random lists of operations: whatever is alive at one stage lies apart, and the arena ends with the last buffer.
TEST(Program, WhateverIsAliveAtOnceLiesApart) {
  EXPECT_TRUE(rc::check([] {
    Program program;
    const int buffers = *rc::gen::inRange(1, 12), operations = *rc::gen::inRange(1, 20);
    std::vector<Array<float>> arrays;
    for (int b = 0; b < buffers; ++b)
      arrays.push_back(program.array<float>("b", *rc::gen::inRange(0, 4) == 0 ? Life::lasting : Life::passing,
                                            *rc::gen::inRange(1, 200)));
    std::vector<std::pair<int, int>> used;
    for (int at = 0; at < operations; ++at) {
      used.emplace_back(*rc::gen::inRange(0, buffers), *rc::gen::inRange(0, buffers));
      program.add(Exchange{arrays[static_cast<std::size_t>(used.back().first)].from(0, 1),
                           arrays[static_cast<std::size_t>(used.back().second)].from(0, 1)});
    }
    program.lay_out();
    const MemoryPlan& plan = program.plan();
    std::int64_t end = 0;
    for (std::size_t a = 0; a < plan.count(); ++a) {
      RC_ASSERT(plan.offset(a) % kAlignment == 0);
      end = std::max(end, plan.offset(a) + plan.bytes(a));
      for (std::size_t b = 0; b < a; ++b) RC_ASSERT(!(plan.overlap_in_time(a, b) && share_bytes(plan, a, b)));
    }
    RC_ASSERT(end == program.arena_bytes());
    for (const auto& [a, b] : used)
      RC_ASSERT(a == b || plan.overlap_in_time(static_cast<std::size_t>(a), static_cast<std::size_t>(b)));
  }));
}

TEST(Program, ViewsAreBoundToTheirPlacesInTheBuffer) {
  Program program;
  program.array<float>("before", Life::lasting, 3);
  const Matrix m = program.matrix("m", Life::lasting, DType::bfloat16, 12, 20);
  const auto a = program.array<std::int64_t>("a", Life::lasting, 10);
  Attention op;
  op.B = 2, op.T = 6, op.H = 2;
  op.q = heads(m.columns(4, 8), 2, 6, 2);
  op.k = heads(m.rows_from(1, 10).columns(12, 8), 2, 5, 2);
  program.add(op);
  program.lay_out();
  std::vector<std::byte> arena(static_cast<std::size_t>(program.arena_bytes()));
  program.bind(arena.data());
  std::byte* const first = arena.data() + program.plan().offset(1);
  const auto at = [&](std::int64_t r, std::int64_t c) { return static_cast<void*>(first + (r * 20 + c) * 2); };
  EXPECT_EQ(program.bound(m).data, at(0, 0));
  EXPECT_EQ(program.bound(m.rows_from(3, 2)).data, at(3, 0));
  EXPECT_EQ(program.bound(m.columns(5, 2)).data, at(0, 5));
  EXPECT_EQ(program.bound(m.rows_from(3, 9).columns(5, 2).rows_from(2, 1)).data, at(5, 5));
  EXPECT_EQ(program.bound(m.rows_from(3, 2)).rows, 2);
  EXPECT_EQ(program.bound(m.columns(5, 2)).stride, 20);
  EXPECT_EQ(program.bound(a.from(4)).data,
            reinterpret_cast<std::int64_t*>(arena.data() + program.plan().offset(2)) + 4);
  EXPECT_EQ(program.bound(a.from(4)).count, 6);
  EXPECT_EQ(program.bound(a.from(4).from(1, 2)).data, program.bound(a).data + 5);
  const auto& bound = std::get<Attention>(program.operations()[0]);
  EXPECT_EQ(bound.q.data, at(0, 4));
  EXPECT_EQ(bound.k.data, at(1, 12));
  EXPECT_EQ(bound.q.bf16() + bound.q.offset(1, 2, 1), static_cast<std::uint16_t*>(at(8, 8)));
  // A bound view is cut as an unbound one is.
  EXPECT_EQ(program.bound(m).rows_from(3, 9).columns(5, 2).data, at(3, 5));
}

TEST(Program, AbsentOperandsStayAbsent) {
  Program program;
  const Matrix none = program.matrix("none", Life::lasting, DType::float32, 0, 5);
  EXPECT_FALSE(none || program.matrix("none", Life::lasting, DType::float32, 5, 0));
  EXPECT_FALSE(program.array<float>("none", Life::lasting, 0));
  EXPECT_FALSE(none.rows_from(0, 0) || Array<float>().from(0) || Heads());
  EXPECT_EQ(program.bound(none).data, nullptr);
  EXPECT_EQ(program.bound(Array<float>()).data, nullptr);
  const Matrix x = program.matrix("x", Life::lasting, DType::float32, 3, 4);
  const Matrix w = program.matrix("w", Life::lasting, DType::float32, 5, 4);
  const Matrix y = program.matrix("y", Life::lasting, DType::float32, 3, 5);
  program.add(Linear{x, w, {}, Activation::none, none, y});
  program.lay_out();
  EXPECT_EQ(program.plan().count(), 3u);
  std::vector<std::byte> arena(static_cast<std::size_t>(program.arena_bytes()));
  program.bind(arena.data());
  const auto& op = std::get<Linear>(program.operations()[0]);
  EXPECT_FALSE(op.bias || op.pre);
  EXPECT_EQ(op.bias.data, nullptr);
  EXPECT_EQ(op.pre.data, nullptr);
  EXPECT_NE(op.y.data, nullptr);
}

TEST(Program, OperandsThatReachBeyondTheirBufferAreRefused) {
  const auto laid_out = [&](std::int64_t first, std::int64_t count) {
    Program program;
    program.add(Zero{program.array<float>("four", Life::lasting, 4).from(first, count)});
    program.lay_out();
  };
  laid_out(1, 3);
  expect_refused([&] { laid_out(1, 4); }, "zero: an operand reaches beyond its buffer \"four\"");
  expect_refused([&] { laid_out(-1, 2); }, "zero: an operand reaches beyond its buffer \"four\"");
  Program other, program;
  other.array<float>("first", Life::lasting, 4);
  program.add(Zero{other.array<float>("second", Life::lasting, 4)});
  expect_refused([&] { program.lay_out(); }, "zero: an operand lies in a buffer of another program");
}

TEST(Program, BindingSaysWhatHasNoAddress) {
  std::vector<float> outside(4);
  Program program;
  const auto inside = program.array<float>("inside", Life::lasting, 4);
  program.add(Exchange{inside, array_of(outside)});
  program.add(Zero{array<float>(nullptr, 4)});
  program.lay_out();
  std::vector<std::byte> arena(static_cast<std::size_t>(program.arena_bytes()));
  expect_refused([&] { program.bind(arena.data()); }, "zero: an operand has no buffer and no address");
  EXPECT_EQ(program.bound(array_of(outside)).data, outside.data());  // memory outside is where it says
}

TEST(Program, BindingNeedsAnArenaWhereThereAreBuffers) {
  Program program;
  const auto a = program.array<float>("a", Life::lasting, 4), b = program.array<float>("b", Life::lasting, 4);
  program.add(Zero{a}), program.add(Zero{b});
  program.lay_out();
  expect_refused([&] { program.bind(nullptr); }, "program: needs an arena of 128 bytes, got none");
  Program none;
  none.lay_out();
  none.bind(nullptr);
  EXPECT_EQ(none.arena_bytes(), 0);
}

LONGSTRIDE_DEVICE_TESTS(Programs);

TEST_P(Programs, OfNothingRun) {
  const auto executable = backend().compile(Program());
  EXPECT_EQ(executable->arena_bytes(), 0);
  executable->bind(nullptr);
  executable->run();
}

TEST_P(Programs, ThatDoNotFitAreRefusedWhenTheyAreCompiled) {
  Program program;
  const Matrix x = program.matrix("x", Life::passing, DType::float32, 3, 4);
  program.add(zero_of(x));
  program.add(Linear{x, program.matrix("w", Life::passing, DType::float32, 5, 6), {}, Activation::none, {}, x});
  expect_refused([&] { backend().compile(program); }, "linear: w must be (5, 4), got (5, 6)");
}

TEST_P(Programs, RunOftenOnWhatTheirLastingBuffersHold) {
  Program program;
  const auto sum = program.array<double>("sum", Life::lasting, 1);
  const auto losses = program.array<float>("losses", Life::lasting, 2);
  program.add(SumBits{losses, sum});
  const auto executable = backend().compile(std::move(program));
  Buffer arena(backend(), executable->arena_bytes());
  executable->bind(arena.data());
  const Program& bound = executable->program();
  const double start = 1;
  backend().upload(bound.bound(sum).data, &start, 8);
  for (int turn = 0; turn < 3; ++turn) {
    const float bits = 0.69314718f, loss[] = {bits, bits * static_cast<float>(turn)};
    backend().upload(bound.bound(losses).data, loss, 8);
    executable->run();
  }
  backend().wait();
  double end = 0;
  backend().download(&end, bound.bound(sum).data, 8);
  EXPECT_NEAR(end, 1 + 3 + 0 + 1 + 2, 1e-6);
}

TEST_P(Programs, MayBeBoundAnewToAnotherArena) {
  Program program;
  const auto a = program.array<float>("a", Life::lasting, 8);
  program.add(Zero{a});
  const auto executable = backend().compile(std::move(program));
  const std::vector<float> ones(8, 1.0f);
  for (int turn = 0; turn < 2; ++turn) {
    Buffer arena(backend(), executable->arena_bytes());
    executable->bind(arena.data());
    void* at = executable->program().bound(a).data;
    backend().upload(at, ones.data(), 32);
    executable->run();
    backend().wait();
    std::vector<float> got(8);
    backend().download(got.data(), at, 32);
    EXPECT_EQ(got, std::vector<float>(8)) << turn;
  }
}

// Zero, mark, exchange, mark: what the marks are told of is done, and what comes after them has not begun.
struct Marked {
  explicit Marked(Backend& on) : backend(on) {
    Program program;
    a = program.array<float>("a", Life::lasting, 4), b = program.array<float>("b", Life::lasting, 4);
    program.add(Mark{Mark::What::attended, 7, 0, 0});
    program.add(Zero{a});
    program.add(Mark{Mark::What::gradient_final, 0, 10, 20});
    program.add(Exchange{a, b});
    program.add(Mark{Mark::What::gradient_final, 1, 0, 10});
    executable = backend.compile(std::move(program));
    arena = Buffer(backend, executable->arena_bytes());
    executable->bind(arena.data());
  }
  void put(float in_a, float in_b) {
    const std::vector<float> as(4, in_a), bs(4, in_b);
    backend.upload(executable->program().bound(a).data, as.data(), 16);
    backend.upload(executable->program().bound(b).data, bs.data(), 16);
  }
  std::pair<float, float> get() {
    float x = 0, y = 0;
    backend.wait();
    backend.download(&x, executable->program().bound(a.from(3)).data, 4);
    backend.download(&y, executable->program().bound(b.from(3)).data, 4);
    return {x, y};
  }
  Backend& backend;
  Array<float> a, b;
  std::unique_ptr<Executable> executable;
  Buffer arena;
};

TEST_P(Programs, MarksArriveInOrderWhenAllBeforeThemIsDone) {
  Marked marked(backend());
  for (int turn = 0; turn < 2; ++turn) {
    marked.put(3, 5);
    std::vector<std::pair<float, float>> seen;
    std::vector<Mark> marks;
    marked.executable->run({}, [&](const Mark& mark) {
      marks.push_back(mark);
      seen.push_back(marked.get());
    });
    ASSERT_EQ(marks.size(), 3u);
    EXPECT_EQ(marks[0].what, Mark::What::attended);
    EXPECT_EQ(marks[0].block, 7);
    EXPECT_EQ(marks[1].what, Mark::What::gradient_final);
    EXPECT_EQ(std::pair(marks[1].begin, marks[1].end), (std::pair<std::int64_t, std::int64_t>(10, 20)));
    EXPECT_EQ(marks[2].block, 1);
    using Pair = std::pair<float, float>;
    EXPECT_EQ(seen, (std::vector<Pair>{{3, 5}, {0, 5}, {5, 0}}));
  }
}

TEST_P(Programs, ThatStopAtAMarkRunAgain) {
  Marked marked(backend());
  marked.put(3, 5);
  {
    std::vector<int> gone = {1, 2, 3};  // what is called back must not outlive the run
    const auto stop = [&gone](const Mark& mark) {
      if (gone.at(0) == 1 && mark.block == 0) throw std::runtime_error("enough");
    };
    EXPECT_THROW(marked.executable->run({}, stop), std::runtime_error);
  }
  EXPECT_EQ(marked.get(), (std::pair<float, float>(0, 5)));  // nothing after the mark was done
  marked.put(3, 5);
  marked.executable->run();
  EXPECT_EQ(marked.get(), (std::pair<float, float>(5, 0)));
  int told = 0;
  marked.executable->run({}, [&](const Mark&) { ++told; });
  EXPECT_EQ(told, 3);
}

}  // namespace
}  // namespace longstride::tests
