// These tests run programs of a card's twin again and again: what is recorded and replayed gives what a run without
// recording gives, also after memory has moved.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cuda/card.h"
#include "cuda/host/recorded.h"
#include "error_words.h"
#include "host_matrix.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace longstride::tests {
namespace {

// h' = h + dropout(branch) of a step, and y = f(norm(h') W^T), where h is written before each run. `marked`: begins with
// a Mark.
class Small {
 public:
  static constexpr std::int64_t N = 6, C = 10, M = 14;

  explicit Small(Backend& backend, bool marked = false) : backend_(backend) {
    Program program;
    const auto halves = [&](const char* name, Life life, std::int64_t rows, std::int64_t cols) {
      return program.matrix(name, life, DType::bfloat16, rows, cols);
    };
    h_ = program.matrix("h", Life::lasting, DType::float32, N, C);
    weights_ = program.array<float>("weights", Life::lasting, 2 * C);
    w_ = halves("w", Life::lasting, M, C), branch_ = halves("branch", Life::lasting, N, C);
    y_ = halves("y", Life::lasting, N, M);
    const Matrix normed = halves("normed", Life::passing, N, C);
    const auto of_rows = [&] { return program.array<float>("of rows", Life::passing, N); };
    if (marked) program.add(Mark{});
    program.add(ResidualNorm{h_,
                             branch_,
                             {0.5f, 42, 3, 1},
                             h_,
                             weights_.from(0, C),
                             weights_.from(C, C),
                             1e-5f,
                             normed,
                             of_rows(),
                             of_rows()});
    program.add(Linear{normed, w_, {}, Activation::gelu_sigmoid, {}, y_});
    executable_ = backend.compile(std::move(program));
    bind();
  }
  // To memory of its own, where everything is written anew.
  void bind() {
    Buffer arena(backend_, executable_->arena_bytes());
    executable_->bind(arena.data());
    arena_ = std::move(arena);
    HostMatrix w(DType::bfloat16, M, C, 1), branch(DType::bfloat16, N, C, 2);
    const std::vector<float> weights = random_floats(2 * C, 3);
    write(w_, w), write(branch_, branch);
    backend_.upload(executable_->program().bound(weights_).data, weights.data(), 2 * C * 4);
  }

  // The bits of y and h'.
  std::vector<std::byte> run(std::int64_t step, const Executable::AtMark& at_mark = {}) {
    HostMatrix h(DType::float32, N, C, 10 + step);
    write(h_, h);
    executable_->run({.dropout_step = step}, at_mark);
    std::vector<std::byte> bits(N * M * 2 + N * C * 4);
    backend_.download(bits.data(), executable_->program().bound(y_).data, N * M * 2);
    backend_.download(bits.data() + N * M * 2, executable_->program().bound(h_).data, N * C * 4);
    return bits;
  }

 private:
  void write(const Matrix& to, HostMatrix& from) {
    backend_.upload(executable_->program().bound(to).data, from.view().data, to.rows * to.cols * size_of(to.type));
  }

  Backend& backend_;
  Matrix h_, w_, branch_, y_;
  Array<float> weights_;
  std::unique_ptr<Executable> executable_;
  Buffer arena_;
};

// A program that never ran before is not recorded.
std::vector<std::byte> without_recording(Backend& backend, std::int64_t step) {
  const std::int64_t before = cuda::host::replays();
  std::vector<std::byte> bits = Small(backend).run(step);
  EXPECT_EQ(cuda::host::replays(), before);
  return bits;
}

struct Replays {
  std::int64_t before = cuda::host::replays();
  std::int64_t since() const { return cuda::host::replays() - before; }
};

TEST(RecordedProgram, FollowsWhatChangesFromRunToRun) {
  const auto backend = make_backend(Device::cuda);
  Small small(*backend);
  std::vector<std::byte> last;
  for (std::int64_t step = 0; step < 6; ++step) {
    const Replays replays;
    const std::vector<std::byte> bits = small.run(step);
    EXPECT_EQ(replays.since(), step < 2 ? 0 : 1) << step;
    EXPECT_EQ(bits, without_recording(*backend, step)) << step;
    EXPECT_NE(bits, last) << step;
    last = bits;
  }
}

TEST(RecordedProgram, IsRecordedAnewWhereTheScratchMemoryHasMoved) {
  const auto backend = make_backend(Device::cuda);
  Small small(*backend);
  for (std::int64_t step = 0; step < 4; ++step) small.run(step);
  constexpr std::int64_t kMore = 512;
  const Buffer memory(*backend, 3 * kMore * kMore * 2);
  std::uint16_t* const data = memory.bf16();
  const auto square = [&](int which) { return matrix(data + which * kMore * kMore, DType::bfloat16, kMore, kMore); };
  const auto larger =
      compile_bound(*backend, {Linear{square(0), square(1), {}, Activation::gelu_sigmoid, {}, square(2)}});
  const std::vector<std::uint16_t> halves(3 * kMore * kMore, bfloat16_from_float(0.5f));
  backend->upload(memory.data(), halves.data(), memory.bytes());
  larger->run();
  std::vector<std::uint16_t> sums(kMore * kMore);
  backend->download(sums.data(), square(2).data, bytes_of(square(2)));
  EXPECT_EQ(sums, std::vector<std::uint16_t>(sums.size(), bfloat16_from_float(kMore / 4.0f)));  // f(128) is 128
  const Replays replays;
  for (std::int64_t step = 4; step < 6; ++step) EXPECT_EQ(small.run(step), without_recording(*backend, step)) << step;
  EXPECT_EQ(replays.since(), 2);
}

TEST(RecordedProgram, IsRecordedAnewWhereItIsBoundToOtherMemory) {
  const auto backend = make_backend(Device::cuda);
  Small small(*backend);
  for (std::int64_t step = 0; step < 4; ++step) small.run(step);
  small.bind();
  const Replays replays;
  for (std::int64_t step = 4; step < 8; ++step) EXPECT_EQ(small.run(step), without_recording(*backend, step)) << step;
  EXPECT_EQ(replays.since(), 2) << "the first two runs at a place are not recorded";
}

TEST(RecordedProgram, IsNotReplayedWhereSomebodyIsToldOfItsMarks) {
  const auto backend = make_backend(Device::cuda);
  Small small(*backend, true);
  int told = 0;
  const Replays replays;
  for (std::int64_t step = 0; step < 5; ++step)
    EXPECT_EQ(small.run(step, [&](const Mark&) { ++told; }), without_recording(*backend, step)) << step;
  EXPECT_EQ(told, 5);
  EXPECT_EQ(replays.since(), 0);
  for (std::int64_t step = 5; step < 10; ++step) EXPECT_EQ(small.run(step), without_recording(*backend, step)) << step;
  EXPECT_EQ(replays.since(), 3);
}

TEST(RecordedProgram, KeepsItsInputsWhereOthersRunAtItsMarks) {
  const auto backend = make_backend(Device::cuda);
  Small small(*backend, true), other(*backend);
  for (std::int64_t step = 0; step < 5; ++step) {
    const auto at_mark = [&](const Mark&) { EXPECT_EQ(other.run(step + 7), without_recording(*backend, step + 7)); };
    EXPECT_EQ(small.run(step, at_mark), without_recording(*backend, step)) << step;
  }
}

TEST(RecordedProgram, IsNoneWhereTheHostBringsAddresses) {
  const auto backend = make_backend(Device::cuda);
  constexpr std::int64_t kRows = 3, kRow = 2;
  const Buffer own(*backend, kRows * kRow * 4), values(*backend, kRows * kRow * 4), rows(*backend, kRows * 4),
      count(*backend, 8);
  const std::vector<float> ones(kRows * kRow, 1), twos(kRows * kRow, 2);
  const std::vector<std::int32_t> numbers = {2};
  const std::int64_t one = 1;
  RowList list;
  list.count = array(static_cast<std::int64_t*>(count.data()), 1);
  list.rows = array(static_cast<std::int32_t*>(rows.data()), kRows);
  list.values = values.floats();
  const auto executable = compile_bound(*backend, {SumRows{own.floats(), kRow, 0, {list}}});
  const Replays replays;
  for (int time = 0; time < 4; ++time) {
    backend->upload(own.data(), ones.data(), own.bytes());
    backend->upload(values.data(), twos.data(), values.bytes());
    backend->upload(rows.data(), numbers.data(), 4);
    backend->upload(count.data(), &one, 8);
    executable->run();
    std::vector<float> sum(ones.size());
    backend->download(sum.data(), own.data(), own.bytes());
    EXPECT_EQ(sum, (std::vector<float>{1, 1, 1, 1, 3, 3})) << time;
  }
  EXPECT_EQ(replays.since(), 0);
}

TEST(RecordedWork, HoldsNothingThatTheHostBringsOrWaitsFor) {
  cuda::Card card;
  void* const memory = card.allocate(4);
  float host = 1;
  EXPECT_EQ(error_words(ErrorKind::unavailable, [&] { card.record([&] { card.upload(memory, &host, 4); }); }),
            "cuda: an upload cannot be recorded");
  EXPECT_EQ(error_words(ErrorKind::unavailable, [&] { card.record([&] { card.download(&host, memory, 4); }); }),
            "cuda: a download cannot be recorded");
  EXPECT_EQ(error_words(ErrorKind::unavailable, [&] { card.record([&] { card.wait(); }); }),
            "cuda: a wait cannot be recorded");
  card.upload(memory, &host, 4);  // outside it goes on
  const auto zeroes = card.record([&] { card.zero(memory, 4); });
  card.download(&host, memory, 4);
  EXPECT_EQ(host, 1);
  card.replay(*zeroes);
  card.download(&host, memory, 4);
  EXPECT_EQ(host, 0);
  card.release(memory);
}

}  // namespace
}  // namespace longstride::tests
