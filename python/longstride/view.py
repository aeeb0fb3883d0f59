"""Looking inside: where the heads of a model look on one input (docs/attention.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longstride import _core
from longstride.errors import InvalidArgument
from longstride.pattern import Pattern


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class AttentionRow:
    """What one query of one head reads. Query i makes the prediction of token i; key j is the input of position j,
    which is token j - 1 (key 0: the start vector)."""

    layer: int
    head: int
    query: int
    keys: NDArray[np.int64]  #: (K,) ascending; every other key has probability 0
    p: NDArray[np.float64]  #: (K,), they sum to 1


class AttentionView:
    """A model on one input; `Model.attention` makes it. p = exp(scale q . k - lse) of the network's float32 pass.

    Layers, heads and queries are numbers or lists of them; left out, all. ValueError where one is none of the model's.
    """

    def __init__(self, handle: _core.AttentionView, config: dict[str, Any]):
        self._handle = handle
        self.config = config
        self.tokens: NDArray[np.uint8] = handle.tokens()  #: (n,) of the input; queries are 0 to n - 1

    def pattern(self, layer: int, head: int) -> Pattern:
        """What that head may read."""
        self._numbers(layer, "layers")
        self._numbers(head, "heads")
        return Pattern(self._handle.pattern(layer, head))

    def rows(
        self,
        layers: int | Iterable[int] | None = None,
        heads: int | Iterable[int] | None = None,
        queries: int | Iterable[int] | None = None,
    ) -> list[AttentionRow]:
        """Probabilities of every key that is read, in the order of the pass: layers ascending, heads and queries as
        they are listed. One pass of the network."""
        rows = self._handle.rows(*self._chosen(layers, heads), self._numbers(queries, "queries"))
        return [AttentionRow(*row) for row in rows]

    def matrix(self, layer: int, head: int) -> NDArray[np.float64]:
        """(n, n): p of query i and key j; 0 where i does not read j. For short inputs."""
        n = len(self.tokens)
        dense = np.zeros((n, n))
        for row in self.rows(layer, head):
            dense[row.query, row.keys] = row.p
        return dense

    def draw(
        self,
        layers: int | Iterable[int] | None = None,
        heads: int | Iterable[int] | None = None,
        queries: int | Iterable[int] | None = None,
        panel: int = 192,
    ) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: panels of `panel` pixels, heads across and layers down.

        Of pictures: the queries over the picture, bright where they look; left out, the pixel in the middle. Of text
        and sound: all queries down against all keys across.
        """
        chosen = self._chosen(layers, heads)
        if self.config["data"]["kind"] != "image":
            if queries is not None:
                raise InvalidArgument("draw: queries are chosen of pictures alone; text and sound show all of them")
            return self._handle.matrix(*chosen, panel, 0, len(self.tokens))
        height, width = self.config["data"]["image_size"]
        middle = (height // 2 * width + width // 2) * self.config["data"]["channels"]
        return self._handle.over_picture(
            *chosen, panel, self._numbers(middle if queries is None else queries, "queries")
        )

    def _chosen(
        self, layers: int | Iterable[int] | None, heads: int | Iterable[int] | None
    ) -> tuple[list[int], list[int]]:
        return sorted(set(self._numbers(layers, "layers"))), self._numbers(heads, "heads")

    def _numbers(self, chosen: int | Iterable[int] | None, what: str) -> list[int]:
        count = len(self.tokens) if what == "queries" else int(self.config["model"][what])
        if chosen is None:
            return list(range(count))
        numbers = [int(at) for at in np.atleast_1d(np.asarray(chosen if np.isscalar(chosen) else list(chosen)))]
        for at in numbers:
            if not 0 <= at < count:
                raise InvalidArgument(f"attention: {what} lie in [0, {count - 1}], got {at}")
        return numbers

    def __reduce__(self) -> str:
        raise TypeError("longstride.AttentionView cannot be pickled: it holds a model; pickle its rows")
