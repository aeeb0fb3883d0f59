"""A model that one holds: read once, then asked for logits, scores, samples and decodings as often as one likes."""

from __future__ import annotations

import os
from collections.abc import Sequence as Row
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longstride import _core
from longstride.config import Path, Paths, as_paths
from longstride.decoder import Decoder
from longstride.errors import InvalidArgument, naming_missing
from longstride.notes import note
from longstride.progress import Progress
from longstride.results import Evaluation, PerByte, Score
from longstride.sampling import Sampler
from longstride.tokens import Tokens, as_bytes, as_tokens
from longstride.view import AttentionView
from longstride.world import World, handle_of


def load(run: Path, checkpoint: str | int = "best", *, precision: str = "float32", device: str = "auto") -> Model:
    """Reads a whole checkpoint, verified; its file is not needed afterwards.

    run: a run directory, a checkpoint directory or a .safetensors file. checkpoint, of a run directory: "best",
    "latest" or a step. precision, of logits, scores and decodings: "float32", "bfloat16" or "auto" (what the run
    trained with). device: "auto", "cpu", "cuda" or "cuda:1".

    Raises FileNotFoundError, ValueError where a name is wrong, CorruptData where the file is damaged,
    NotImplementedError where this build lacks the device, MemoryError.
    """
    run = os.fspath(run)  # what is no path is said in Python's words
    with naming_missing(run):
        return Model(_core.Model(run, str(checkpoint), precision, device))


class Model(Sampler):
    """A held checkpoint; `load` makes it. Source: Child et al. 2019 (arXiv 1904.10509); docs/model.md.

    Tokens are whole numbers in [0, V), bytes where V, the vocabulary, is 256; n, the context, is how many a model knows
    at once. Calls take `bytes`, `str` (its UTF-8) or one-dimensional arrays of whole numbers.

    Any threads of Python may use one model, which serves them in turn, or several at the same time, each with the bits
    that it gives alone. It cannot be pickled: pickle the path. A process that was forked after something was computed
    cannot compute (NotImplementedError); use multiprocessing's "spawn".
    """

    def __repr__(self) -> str:
        return f'<longstride.Model "{self.path}", step {self.step}, {self.parameters:,} parameters>'

    def __reduce__(self) -> str:
        raise TypeError(
            "longstride.Model cannot be pickled: it holds memory of its own; pickle its path and load it there"
        )

    @property
    def path(self) -> str:
        """Of model.safetensors."""
        return self._handle.path

    @property
    def step(self) -> int:
        return self._handle.step

    @property
    def parameters(self) -> int:
        return self._handle.parameters

    @property
    def precision(self) -> str:
        """float32 or bfloat16: what logits, scores and decodings are computed in."""
        return self._handle.precision

    @property
    def device(self) -> str:
        return self._handle.device

    def logits(self, tokens: Tokens) -> NDArray[np.float32]:
        """(T + 1, V) float32, not normalised, of T tokens in one pass.

        Row t is of the token that follows the first t of them, so row 0 is of a text's first token. ValueError where
        there are more than n - 1 tokens or one is outside the vocabulary.
        """
        return self._handle.logits(as_tokens(tokens))

    def next_logits(self, tokens: Tokens) -> NDArray[np.float32]:
        """(V,) float32: the last row of logits(tokens) alone, by a Decoder's way, to rounding. Raises as logits."""
        return self._handle.next_logits(as_tokens(tokens))

    def score(self, tokens: Tokens, min_context: int = 0) -> Score:
        """Bits of each of any number of tokens, under the protocol of `evaluate`: windows of n tokens, each but the
        first with at least `min_context` before the first token that it scores.

        ValueError where there are no tokens, one is outside the vocabulary or min_context is not in [0, n);
        Diverged where a loss is not finite.
        """
        return Score(*self._handle.score(as_tokens(tokens), min_context))

    def bits(self, tokens: Tokens, min_context: int = 0) -> NDArray[np.float32]:
        """(T,) float32: what each token costs, -log2 p(token | those before it). Raises as score."""
        return self.score(tokens, min_context).bits

    def evaluate(
        self,
        data: Paths,
        *,
        split: str = "all",
        offset: int = 0,
        bytes: int = -1,
        min_context: int = 0,
        precision: str = "auto",
        cache: Path = "",
        per_byte: bool = False,
        expected: int = 3,
        world: World | None = None,
        progress: bool | None = False,
    ) -> Evaluation:
        """Bits per byte of files and folders: what `longstride evaluate` says of them (docs/evaluation.md).

        split: "train", "valid", "test" or "all"; offset: bytes of it skipped; bytes: scored at most, -1 all;
        min_context: tokens before the first that a window scores, in [0, n). cache: a folder of decoded data, left out
        the run's own. per_byte: the result tells what each byte cost, and how many bytes as `expected` says were
        likeliest there, by a second pass; 0: none. world: processes that share the windows, and all get the figures of
        one; not with per_byte. progress: by tqdm; None shows it where tqdm is installed.
        """
        paths = as_paths(data)
        if expected < 0:
            raise InvalidArgument(f"evaluate: expected needs a whole number of at least 0, got {expected}")
        if world is not None and world.rank > 0:
            progress = False
        unit = "bits per dim" if self.config["data"]["kind"] == "image" else "bits per byte"
        with Progress(progress, "evaluate") as line, naming_missing(*paths):
            shown = None if progress is False else lambda share, bits: line.show(share, f"{bits:.4f} {unit}")
            fields = self._handle.evaluate(
                paths, split, offset, bytes, min_context, precision, os.fspath(cache),
                expected if per_byte else None, handle_of(world), shown, note,
            )  # fmt: skip
        found = fields.pop("per_byte")
        return Evaluation(**fields, per_byte=found and PerByte(**found))

    def attention(self, input: Path | bytes | Row[int] | NDArray[Any]) -> AttentionView:
        """Where heads look on one input, by the network's own float32 pass: rows of probabilities, and pictures.

        input: the path of a file, read as the run's data are (one picture, or one context of text or sound); or the
        tokens themselves, at most n, as bytes or an array.
        """
        if not isinstance(input, (str, os.PathLike)):
            tokens = as_bytes(input if isinstance(input, bytes) else np.asarray(input))
            return AttentionView(_core.AttentionView(self._handle, "", tokens), self.config)
        with naming_missing(input):
            return AttentionView(_core.AttentionView(self._handle, input, as_bytes(b"")), self.config)

    def decoder(self, sequences: int = 1, length: int = 0, exact: bool = False) -> Decoder:
        """Decoding by hand, several sequences in one pass.

        sequences: in it at the same time at most, 1 to 64. length: tokens that a sequence may have, the last one
        predicted among them; 0: the context. exact: sequences read many tokens to the bits of one at a time.
        MemoryError where their keys and values have no room.
        """
        return Decoder(_core.Decoder(self._handle, sequences, length, exact))
