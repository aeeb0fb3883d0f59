"""Chooses among ways to go on with a text by what a model thinks of them: choose.py RUN BEGINNING ENDING..."""

from __future__ import annotations

import sys

import longstride


def main(run: str, beginning: str, endings: list[str]) -> None:
    model = longstride.load(run)
    read = len(beginning.encode())
    cost = {ending: float(model.bits(beginning + ending)[read:].sum()) for ending in endings}
    for ending in sorted(endings, key=cost.__getitem__):
        print(f"{cost[ending]:8.2f} bits  {beginning}{ending}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
