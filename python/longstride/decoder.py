"""Decoding by hand: sequences join, read tokens, step together, fork and leave."""

from __future__ import annotations

from collections.abc import Sequence as Row
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longstride import _core
from longstride.tokens import Tokens, as_tokens


class Sequence:
    """A place in a Decoder, given back when this goes or leaves; `Decoder.join` makes it."""

    def __init__(self, handle: _core.Sequence):
        self._handle = handle

    @property
    def tokens_read(self) -> int:
        return self._handle.tokens_read

    def read(self, tokens: Tokens = b"") -> NDArray[np.float32]:
        """Reads tokens that follow those read so far. (V,) float32: logits of the token that comes next.

        read() of a sequence that has read nothing: of its first token. Ctrl-C keeps what was read. ValueError where
        there is nothing to read, too much, or a token outside the vocabulary.
        """
        return self._handle._read(as_tokens(tokens))

    def restart(self) -> None:
        """Forgets its tokens, keeps its place."""
        self._handle._restart()

    def fork(self) -> Sequence:
        """Another sequence that goes on from all that this has read. ValueError where there is no room."""
        return Sequence(self._handle._fork())

    def leave(self) -> None:
        """Gives the place back now."""
        self._handle._leave()

    def __enter__(self) -> Sequence:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def __reduce__(self) -> str:
        raise TypeError("longstride.Sequence cannot be pickled: its keys and values lie in the Decoder")


class Decoder:
    """Sequences of a model that are decoded side by side; `Model.decoder` makes it.

    A sequence's logits are the same bits whatever is decoded beside it. A model of context n predicts n tokens and
    reads n - 1; the window does not move on: `restart` a sequence and let it read again what is to be kept.
    """

    def __init__(self, handle: _core.Decoder):
        self._handle = handle

    @property
    def length(self) -> int:
        return self._handle.length

    def join(self) -> Sequence:
        """A sequence of no tokens. ValueError where there is no room."""
        return Sequence(self._handle._join())

    def step(self, sequences: Row[Sequence], tokens: Row[int] | NDArray[Any]) -> NDArray[np.float32]:
        """Every sequence reads its token, all in one pass. (len(sequences), V) float32: of what comes next.

        ValueError where none is fed, one twice or one of another Decoder, one is full, or a token is outside the
        vocabulary; then none has read anything.
        """
        return self._handle._step([sequence._handle for sequence in sequences], as_tokens(np.asarray(tokens)))

    def __reduce__(self) -> str:
        raise TypeError("longstride.Decoder cannot be pickled: it holds memory of its own")
