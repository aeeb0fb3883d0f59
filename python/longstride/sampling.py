"""Samples: text as it is made, pictures and sound as arrays."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import wave
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from longstride import _core
from longstride.config import Path
from longstride.errors import InvalidArgument, naming_missing
from longstride.notes import note
from longstride.tokens import Tokens, as_bytes
from longstride.world import World, handle_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

_MOST_SECONDS = 1e9


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class Sound:
    """Sound of one channel. It plays itself in a notebook."""

    samples: NDArray[np.int16]  #: (T,), full scale is 32,768
    rate: int  #: samples a second

    def wav(self) -> bytes:
        """A WAV file."""
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setparams((1, 2, self.rate, 0, "NONE", ""))
            writer.writeframes(self.samples.astype("<i2").tobytes())
        return file.getvalue()

    def _repr_html_(self) -> str:
        return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(self.wav()).decode()}"></audio>'


class TextStream(Iterator[bytes]):
    """The new bytes of one text as they are made: an item holds all that were made since the last, at least one.

    The text is made on a thread of its own, ahead of its reader; the model's other calls wait meanwhile. It ends when
    it is done, closed, or no longer referred to. `with` closes it.
    """

    def __init__(self, stream: _core.Stream):
        self._stream = stream
        self.close = weakref.finalize(self, stream.close)  #: stops the work, and waits until it has stopped

    def __next__(self) -> bytes:
        try:
            made = self._stream.next(note) if self.close.alive else b""
        except BaseException:
            self.close()
            raise
        if not made:
            self.close()
            raise StopIteration
        return made

    def read(self) -> bytes:
        """All that is still to come."""
        return b"".join(self)

    def __enter__(self) -> TextStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError("longstride.TextStream cannot be pickled: its text is being made")


class Choices(TypedDict, total=False):
    """How the next token is chosen, as for `longstride sample` (docs/sampling.md)."""

    temperature: float  #: 1 where left out; 0 is greedy, the lowest index among equals
    top_k: int  #: among the k likeliest; 0: off
    top_p: float  #: among the likeliest that make up p; 1: off
    min_p: float  #: only tokens at least p times as likely as the likeliest; 0: off
    seed: int  #: of the choices; 1 where left out
    precision: str  #: "float32", "bfloat16" or "auto"
    exact: bool  #: long prompts are read to the bits of reading them token by token


_USUAL: Choices = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "seed": 1,
    "precision": "float32",
    "exact": False,
}


# What each kind of choice may be given as.
_KINDS: dict[type, tuple[type, ...]] = {
    bool: (bool, np.bool_),
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
    str: (str,),
}
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a word"}
_LARGEST = np.iinfo(np.int64).max


class Sampler:
    """What a Model makes. The same choices give the bytes of `longstride sample`.

    Beyond the context the window moves on by half a context, reading again what it keeps. ValueError where a choice
    cannot be, TypeError where there is no such choice.
    """

    def __init__(self, handle: _core.Model):
        self._handle = handle
        self.config: dict[str, Any] = json.loads(handle.config)  #: the run's whole configuration

    @property
    def kind(self) -> str:
        """text, image or sound: what the model has learned from."""
        return str(self.config["data"]["kind"] or "text")

    def sample(self, **choices: Any) -> TextStream | NDArray[np.uint8] | Sound:
        """One of what the model makes: sample_text, or the first of sample_pictures or sample_sounds."""
        if self.kind == "image":
            return self.sample_pictures(**choices)[0]
        return self.sample_sounds(**choices)[0] if self.kind == "sound" else self.sample_text(**choices)

    def sample_text(
        self,
        prompt: Tokens = b"",
        tokens: int = 256,
        *,
        stops: str | bytes | Sequence[Tokens] = (),
        **choices: Unpack[Choices],
    ) -> TextStream:
        """Text that follows `prompt`: an iterator of its new bytes as they are made, `tokens` of them.

        stops: a text or several; it ends as soon as it was made, and stays at the end.
        """
        asked = _asked(tokens, 1, choices)
        return TextStream(_core.Stream(self._handle, asked, [as_bytes(prompt)], _as_stops(stops)))

    def sample_tokens(
        self,
        prompts: Sequence[Tokens] = (),
        tokens: int = 256,
        count: int | None = None,
        *,
        stops: str | bytes | Sequence[Tokens] = (),
        world: World | None = None,
        **choices: Unpack[Choices],
    ) -> list[NDArray[np.uint8]]:
        """`count` sequences made side by side, prompts included: (T,) uint8 each, of any kind of model.

        Sequence i begins with prompts[i mod their number]; count: left out, one a prompt. stops: a text or several; a
        sequence ends as soon as one was made. world: processes that make a part of them each, and all get all.
        Ctrl-C raises.
        """
        if isinstance(prompts, (str, bytes)):
            raise TypeError("sample_tokens: needs a list of prompts, got one; write [prompt]")
        count = max(1, len(prompts)) if count is None else count
        given = [as_bytes(prompt) for prompt in prompts]
        asked = _asked(tokens, count, choices)
        return _core.sample(self._handle, asked, given, _as_stops(stops), handle_of(world), note)

    def sample_pictures(
        self,
        count: int = 1,
        *,
        prime: Path | NDArray[np.uint8] | None = None,
        keep: float = 0.5,
        world: World | None = None,
        **choices: Unpack[Choices],
    ) -> list[NDArray[np.uint8]]:
        """Pictures, (H, W, C) uint8 each. prime: one whose top `keep`, a share in [0, 1), they complete: the path of a
        file, read as training reads it, or such an array. world: as for sample_tokens. ValueError where the model makes
        no pictures."""
        self._require("image", "pictures")
        shape = _core.picture(self._handle, as_bytes(b"")).shape
        kept = np.zeros(0, np.uint8)
        if prime is not None:
            if not 0 <= keep < 1:
                raise InvalidArgument(f"keep: needs a share in [0, 1), got {keep}")
            kept = self._primed(prime).reshape(shape)[: _part(keep, shape[0])].ravel()
        made = self.sample_tokens([kept], int(np.prod(shape)) - len(kept), count, world=world, **choices)
        return [_core.picture(self._handle, tokens) for tokens in made]

    def sample_sounds(
        self,
        count: int = 1,
        *,
        seconds: float = 10,
        prime: Path | NDArray[np.uint8] | None = None,
        keep: float = 1,
        world: World | None = None,
        **choices: Unpack[Choices],
    ) -> list[Sound]:
        """Sounds with `seconds` that are new. prime: one that they go on from after the share `keep` of it: the path of
        a file, read as training reads it, or its tokens. world: as for sample_tokens. ValueError where the model makes
        no sound."""
        self._require("sound", "sound")
        rate = int(self.config["data"]["sample_rate"])
        if not 0 <= keep <= 1:
            raise InvalidArgument(f"keep: needs a share in [0, 1], got {keep}")
        if not 0 <= seconds <= _MOST_SECONDS:
            raise InvalidArgument(f"seconds: needs a number in [0, {_MOST_SECONDS:.0e}], got {seconds}")
        kept = np.zeros(0, np.uint8) if prime is None else self._primed(prime)
        kept = kept[: _part(keep, len(kept))]
        made = self.sample_tokens([kept], math.floor(seconds * rate + 0.5), count, world=world, **choices)
        return [Sound(_core.sound(self._handle, tokens), rate) for tokens in made]

    def _primed(self, prime: Path | NDArray[np.uint8]) -> NDArray[np.uint8]:
        if isinstance(prime, (str, os.PathLike)):
            with naming_missing(prime):
                return _core.tokens_of(self._handle, prime)
        return as_bytes(np.asarray(prime).ravel())

    def _require(self, kind: str, words: str) -> None:
        if self.kind != kind:
            raise InvalidArgument(f"sample: the model has learned from {self.kind}, and makes no {words}")


def _asked(tokens: int, count: int, choices: Choices) -> dict[str, Any]:
    """What the bindings read: every choice, each of its type."""
    unknown = set(choices) - set(_USUAL)
    if unknown:
        raise TypeError(f"sample: has no choice {min(unknown)!r}; the choices are {', '.join(_USUAL)}")
    asked: dict[str, Any] = {**_USUAL, **choices, "tokens": tokens, "count": count}
    for name, value in asked.items():
        usual: Any = _USUAL.get(name, 0)
        kinds = _KINDS[type(usual)]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError(f"sample: {name} needs {_WORDS[type(usual)]}, got {value!r}")
        asked[name] = type(usual)(value)
        if type(usual) is int and abs(asked[name]) > _LARGEST:
            raise InvalidArgument(f"sample: {name} needs a number below 2^63, got {value}")
    return asked


def _as_stops(stops: str | bytes | Sequence[Tokens]) -> list[NDArray[np.uint8]]:
    return [as_bytes(stop) for stop in ([stops] if isinstance(stops, (str, bytes)) else stops)]


def _part(share: float, whole: int) -> int:
    return math.floor(share * whole + 1e-9)  # so that 0.29 of 100 rows are 29
