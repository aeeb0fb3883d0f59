"""Attention patterns: which query reads which key.

Source: Child et al. 2019 (arXiv 1904.10509), section 4; docs/patterns.md defines every pattern.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from longstride import _core
from longstride.errors import InvalidArgument
from longstride.files import write_png, write_text

# A pattern, or as in a configuration a list over blocks, whose inner lists go over heads.
Attention = Union[str, "Pattern", Sequence[Union[str, "Pattern", Sequence[Union[str, "Pattern"]]]]]


@dataclass(frozen=True)
class Reach:
    """Whether information from every earlier position arrives at every query."""

    all: bool
    steps: int  #: layers that it takes; 0 where `all` is false
    query: int  #: where `all` is false: a query, and an earlier key that never reaches it
    key: int
    exact: bool  #: false where the length was too large to try every query


@dataclass(frozen=True)
class Explanation:
    """What a layout of patterns reads, costs and reaches: the fields of `longstride pattern --json`."""

    pattern: str
    length: int
    heads: int
    pairs: list[int] | list[list[int]]  #: one a head; of several blocks a list each
    share: float  #: of the pairs of dense causal attention
    keys_mean: float  #: keys a query
    keys_max: int
    reaches_all: bool
    steps_to_reach: int  #: layers
    problems: list[str]  #: one sentence each


class Drawing:
    """The matrix of pairs, query down and key across. It shows itself in a notebook, and in a terminal by `print`."""

    def __init__(self, pattern: Pattern, length: int, pixels: int):
        self.pattern = pattern
        self.length = length
        self.pixels = pixels
        self.svg: str = pattern._draw_svg(length, pixels)

    @property
    def array(self) -> NDArray[np.uint8]:
        """(side, side, 3) RGB, the side at most `pixels`."""
        return self.pattern._draw_image(self.length, self.pixels)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes FILE.svg or FILE.png, whole or not at all. ValueError where the name ends otherwise."""
        name = os.fspath(path)
        if name.endswith(".svg"):
            write_text(name, self.svg)
        elif name.endswith(".png"):
            write_png(name, self.array)
        else:
            raise InvalidArgument(f'draw: needs a name that ends in .png or .svg, got "{name}"')

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.pattern._draw_text(self.length, 72)


class Pattern(_core.Pattern):
    """Which query i reads which key j <= i: a value made from a text such as "fixed(128,32)".

    dense, window(w), local(l), column(l), strided(l), row(l), summary(l,c[,o]), fixed(l,c), previous_row(l),
    prefix(p), digits(l,m), and unions a | b. Patterns that read the same way are equal whatever they were made from:
    Pattern("strided(8)") == Pattern("local(8) | column(8)"). Raises ValueError, which points at the character.

    Positions count from 0 and are below 2^31. Where a pattern gives each head its own part (fixed), the methods
    answer for head 0; `for_head` gives the pattern of another one.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Pattern):
        super().__init__(str(text))
        self._text = str(self)  # for torch.compile, which looks into no method of the extension module

    def __repr__(self) -> str:
        return f'longstride.Pattern("{self}")'

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, _core.Pattern) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[type[Pattern], tuple[str]]:
        return Pattern, (str(self),)

    def __or__(self, other: Pattern) -> Pattern:
        """The pattern that reads what either reads."""
        return Pattern(f"{self} | {other}") if isinstance(other, Pattern) else NotImplemented

    def for_head(self, head: int) -> Pattern:
        """The pattern as head `head` of a layer uses it."""
        return Pattern(self._for_head(head))

    @overload
    def attends(self, i: int, j: int) -> bool: ...
    @overload
    def attends(self, i: ArrayLike, j: ArrayLike) -> NDArray[np.bool_] | bool: ...
    def attends(self, i: ArrayLike, j: ArrayLike) -> NDArray[np.bool_] | bool:
        """Whether query i reads key j: of two numbers a bool, of arrays (they broadcast) an array of bool."""
        queries, keys = np.broadcast_arrays(_positions(i), _positions(j))
        answers = self._attends(queries.ravel(), keys.ravel()).reshape(queries.shape)
        return answers if answers.ndim else bool(answers)

    @overload
    def count(self, i: int) -> int: ...
    @overload
    def count(self, i: ArrayLike) -> NDArray[np.int64] | int: ...
    def count(self, i: ArrayLike) -> NDArray[np.int64] | int:
        """How many keys query i reads: of a number an int, of an array an int64 array of its shape."""
        queries = _positions(i)
        counts = self._count(queries.ravel()).reshape(queries.shape)
        return counts if counts.ndim else int(counts)

    def keys(self, i: int) -> NDArray[np.int64]:
        """The keys that query i reads, ascending: (count(i),) int64."""
        return self._keys(i)

    def pairs(self, length: int) -> int:
        """Pairs (i, j) below `length` that attend: exact, from closed forms."""
        return self._pairs(length)

    def max_keys(self, length: int) -> int:
        """The most keys that a query below `length` reads."""
        return self._max_keys(length)

    def reach(self, length: int, heads: int = 1) -> Reach:
        """Whether, and after how many layers, every earlier position reaches every query. Exact up to 4,096."""
        return reach(self, length, heads)

    def lint(self, length: int, heads: int = 1) -> list[str]:
        """What is wrong or doubtful about the pattern at this length, one sentence each; empty where nothing is."""
        return lint(self, length, heads)

    def explain(self, length: int, heads: int = 1) -> Explanation:
        """All that `longstride pattern` says of it, at this length and for so many heads."""
        return explain(self, length, heads)

    def draw(self, length: int, pixels: int = 512) -> Drawing:
        """A picture of the pairs below `length`, which shows itself in a notebook."""
        return Drawing(self, length, pixels)


def explain(attention: Attention, length: int, heads: int | None = None) -> Explanation:
    """Explains a layout at a length: a pattern, or as in a configuration a list over blocks of lists over heads.

    heads: that share a layer; left out, as many as the longest list over heads. ValueError where a pattern, a length
    or a number of heads cannot be.
    """
    layout = _layout(attention)
    lists = layout.lists()
    heads = max(map(len, lists)) if heads is None else heads
    found = layout.reach(heads, length)
    problems = layout.problems(heads, length)
    blocks = [[Pattern(layout.head(b, h)) for h in range(heads)] for b in range(len(lists))]
    pairs = {pattern: pattern.pairs(length) for heads_of in blocks for pattern in heads_of}
    counts = [[pairs[pattern] for pattern in heads_of] for heads_of in blocks]
    mean = sum(map(sum, counts)) / (len(blocks) * heads)
    single = len(lists) == 1 and len(lists[0]) == 1
    return Explanation(
        pattern=lists[0][0] if single else str(layout),
        length=length,
        heads=heads,
        pairs=counts[0] if len(counts) == 1 else counts,
        share=mean / (length * (length + 1) / 2),
        keys_mean=mean / length,
        keys_max=max(pattern.max_keys(length) for pattern in pairs),
        reaches_all=found[0],
        steps_to_reach=found[1],
        problems=problems,
    )


def reach(attention: Attention, length: int, heads: int = 1) -> Reach:
    """Pattern.reach, of a layout."""
    return Reach(*_layout(attention).reach(heads, length))


def lint(attention: Attention, length: int, heads: int = 1) -> list[str]:
    """Pattern.lint, of a layout."""
    return _layout(attention).problems(heads, length)


def _layout(attention: Attention) -> _core.Layout:
    return _core.Layout(attention if isinstance(attention, str) else json.dumps(attention, default=_text))


def _text(value: Any) -> str:
    if isinstance(value, Pattern):
        return str(value)
    raise TypeError(f"attention: needs patterns, or lists of them, got {value!r}")


def _positions(values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(array.shape, np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"pattern: positions are whole numbers, got {array.dtype}")
    return np.ascontiguousarray(array, np.int64).reshape(array.shape)
