"""Compares attention patterns at a length, and draws them: pattern.py LENGTH PATTERN..."""

from __future__ import annotations

import sys

from longstride import Pattern


def main(length: int, patterns: list[Pattern]) -> None:
    for pattern in patterns:
        found = pattern.explain(length)
        reach = f"everything in {found.steps_to_reach} layers" if found.reaches_all else "not everything"
        print(f"{pattern}: {found.keys_mean:.1f} keys a query, {100 * found.share:.2f} % of dense, reaches {reach}")
        for problem in found.problems:
            print(f"  {problem}")
    print(patterns[0].draw(min(length, 64)))


if __name__ == "__main__":
    main(int(sys.argv[1]), [Pattern(text) for text in sys.argv[2:]])
