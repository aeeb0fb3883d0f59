// The vocabulary of computation (ops/ops.h), element by element: sums of losses and gradients, and what a step does to the
// parameters.
#pragma once

#include <cstdint>

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
