"""Trains on a text for some steps, measures what was learned and writes on: text.py FILE RUN [STEPS]."""

from __future__ import annotations

import sys

import longstride


def main(file: str, run: str, steps: int = 300) -> None:
    curve: list[float] = []

    def watch(step: longstride.Step) -> None:
        curve.append(step.smoothed_bits)

    result = longstride.train(["text-small", {"training.steps": steps}], file, out=run, on_step=watch)
    print(f"{curve[0]:.3f} bits per byte after one step, {curve[-1]:.3f} after {result.step}")

    model = longstride.load(result.run)
    evaluation = model.evaluate(file, split="test")
    print(f"{evaluation.bits_per_byte:.3f} bits per byte on {evaluation.tokens_scored:,} bytes that it never saw")
    with model.sample_text("The ", tokens=200, temperature=0.8) as text:
        for made in text:
            sys.stdout.write(made.decode("utf-8", "replace"))
    print()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
