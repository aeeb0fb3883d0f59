// The vocabulary of computation (ops/ops.h), element by element or by rows: sums of losses and gradients, and what a
// step does to the parameters.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/tensor.h"

namespace longstride {

// sum += of losses[n] / ln 2, each rounded to float32 and added in the order of rows.
struct SumBits {
  Array<float> losses;  // (N) nats
  Array<double> sum;    // (1)

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.losses), visit(Use::changes, op.sum);
  }
};

// out = a + b, each sum rounded once: the same whichever of the two comes first.
struct Sum {
  Array<float> a, b;
  Array<float> out;  // may be a or b

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.a), visit(Use::reads, op.b), visit(Use::writes, op.out);
  }
};

// sums[c] = sum of x^2 over elements [c, c + 1) * kSquareSumsChunk, in a fixed order. Chunks, so that processes that
// hold some elements each add what one that holds all of them adds.
inline constexpr std::int64_t kSquareSumsChunk = 4096;  // 16 KiB, a multiple of every vector
struct SquareSums {
  Array<float> x;
  Array<double> sums;  // (square_sums_of(x's count))

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.x), visit(Use::writes, op.sums);
  }
};
constexpr std::int64_t square_sums_of(std::int64_t count) { return (count + kSquareSumsChunk - 1) / kSquareSumsChunk; }

// norm = sqrt(sum of squares), added in their order; scale = clip / norm where clip > 0 and norm > clip, else 1. Where
// norm or bits is not finite scale is NaN.
struct GradientNorm {
  Array<double> squares;  // of the gradient's chunks
  Array<double> bits;     // (1), optional
  double clip = 0;        // 0: off
  Array<double> norm;     // (1)
  Array<float> scale;     // (1)

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.squares), visit(Use::reads, op.bits), visit(Use::writes, op.norm);
    visit(Use::writes, op.scale);
  }
};

// AdamW (Loshchilov and Hutter 2019), one pass: with g = scale * dw, and rate and corrections of StepInputs
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   w -= rate * (m / correction1 / (sqrt(v / correction2) + epsilon) + decay * w)
//   ema = ema_decay * ema + (1 - ema_decay) * w
// Where scale is not finite nothing changes. With row > 0 what is moved are rows of so many elements, and a row whose
// dw is 0 throughout keeps w, m and v.
struct AdamW {
  Array<float> w, m, v, dw;
  Array<float> ema;           // optional
  Array<std::uint16_t> copy;  // optional: w in bfloat16
  Array<float> scale;         // (1)
  float beta1 = 0, beta2 = 0, epsilon = 0, decay = 0, ema_decay = 0;
  std::int64_t row = 0;  // 0, or a divisor of the count

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.dw), visit(Use::reads, op.scale), visit(Use::changes, op.w), visit(Use::changes, op.m);
    visit(Use::changes, op.v), visit(Use::changes, op.ema), visit(Use::writes, op.copy);
  }
};

// Some rows of a table, by their numbers, ascending. How many there are is known when they are there; what lies behind
// them is undefined.
struct RowList {
  Array<std::int64_t> count;  // (1)
  Array<std::int32_t> rows;   // as many as there is room for
  Array<float> values;        // (rows' count, row)

  // How many there are and have room, read in the host's memory.
  std::int64_t size() const { return count[0] < rows.count ? count[0] : rows.count; }
  template <class Self, class Visit>
  static void operands(Self& list, Use use, Visit&& visit) {
    visit(use, list.count), visit(use, list.rows), visit(use, list.values);
  }
};
// list = those rows of `from` that hold something other than 0 in chosen_by: the first of them where there is not room
// for all, which its count then says. NaN is something; -0 is 0.
struct PackRows {
  Array<float> chosen_by, from;  // (R, row); may be the same
  std::int64_t row = 0;          // elements
  RowList list;

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.chosen_by), visit(Use::reads, op.from), RowList::operands(op.list, Use::writes, visit);
  }
};
// Process p of P has a list of rows, or, number `rank`, all of them in `own`; a row that a list lacks is 0. own = their
// sum, ((0 + 1) + (2 + 3)) + ... over processes, each sum rounded once. Uses the lists up.
struct SumRows {
  Array<float> own;      // (R, row)
  std::int64_t row = 0;  // elements
  std::int64_t rank = 0;
  std::vector<RowList> others;  // of P - 1, P a power of two: in the order of their numbers

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::changes, op.own);
    for (auto& list : op.others) RowList::operands(list, Use::changes, visit);
  }
};
// The rows of the list take their places in `to`.
struct PutRows {
  Array<float> to;       // (R, row)
  std::int64_t row = 0;  // elements
  RowList list;

  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::changes, op.to), RowList::operands(op.list, Use::reads, visit);
  }
};

// memory = 0.
struct Zero {
  Array<float> memory;
  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::writes, op.memory);
  }
};
// y = x, rounded to bfloat16.
struct Round {
  Array<float> x;
  Array<std::uint16_t> y;
  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::reads, op.x), visit(Use::writes, op.y);
  }
};
// a and b trade what they hold.
struct Exchange {
  Array<float> a, b;
  template <class Self, class Visit>
  static void operands(Self& op, Visit&& visit) {
    visit(Use::changes, op.a), visit(Use::changes, op.b);
  }
};

}  // namespace longstride
