"""Bytes, texts and arrays as the tokens of a model."""

from __future__ import annotations

from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from longstride.errors import InvalidArgument

# bytes as they are, a text as its UTF-8, or whole numbers in [0, V).
Tokens = Union[bytes, bytearray, memoryview, str, "NDArray[Any]", "list[int]"]

_LARGEST = np.iinfo(np.int32).max


def as_tokens(tokens: Tokens) -> NDArray[np.int32]:
    """(T,) int32. The library says what lies outside the vocabulary; what fits no int32 is said here."""
    if isinstance(tokens, str):
        tokens = tokens.encode()
    if isinstance(tokens, memoryview):
        tokens = tokens.tobytes()  # whose bytes may lie apart
    if isinstance(tokens, (bytes, bytearray)):
        return np.frombuffer(tokens, np.uint8).astype(np.int32)
    array = np.asarray(tokens)
    if array.ndim != 1:
        raise InvalidArgument(f"tokens: needs one row of tokens, got an array of shape {array.shape}")
    if array.size == 0:
        return np.zeros(0, np.int32)
    if array.dtype.kind not in "iu":
        raise TypeError(f"tokens: needs whole numbers, got {array.dtype}")
    _require_within(array, -_LARGEST, _LARGEST)
    return np.ascontiguousarray(array, np.int32)


def as_bytes(tokens: Tokens) -> NDArray[np.uint8]:
    """(T,) uint8, for samples and views, whose tokens are bytes."""
    array = as_tokens(tokens)
    _require_within(array, 0, 255)
    return array.astype(np.uint8)


def _require_within(array: NDArray[Any], least: int, most: int) -> None:
    for found in (int(np.min(array)), int(np.max(array))) if array.size else ():
        if not least <= found <= most:
            raise InvalidArgument(f"tokens: needs numbers in [{least}, {most}], got {found}")
