"""Checkpoints, docs/files.md: each file is written whole or not at all, with the hash that the program verifies."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from torch import Tensor

_NO_DIGITS = "0" * 64  # what the hash counts in its own place


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "longstride.torch: checkpoints need the package safetensors; pip install longstride[torch]"
        ) from error
    return safetensors.torch


def read(path: str) -> dict[str, Tensor]:
    """Of a file that longstride.info has verified."""
    tensors: dict[str, Tensor] = _safetensors().load_file(path)
    return tensors


def write_model(path: str, config: dict[str, Any], step: int, weights: dict[str, Tensor]) -> None:
    """model.safetensors. weights: float32, without gaps."""
    _write(path, {"format": "longstride-1", "config": json.dumps(config), "step": str(step)}, weights)


def write_state(path: str, step: int, updates: int, tensors: dict[str, Tensor]) -> None:
    """state.safetensors of a run that has validated and skipped nothing so far. updates: that the moments have seen."""
    numbers = dict.fromkeys(("skipped", "skipped_in_a_row", "elapsed_s", "warm_share", "smoothed_bits", "best_bits",
                             "valid_tokens", "tokens_per_s"), "0")  # fmt: skip
    numbers |= {"step": str(step), "updates": str(updates), "best_step": "-1", "valid_bits": "-1"}
    _write(path, {"format": "longstride-state-1", **numbers}, tensors)


def write_whole(path: str, content: bytes) -> None:
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _write(path: str, metadata: dict[str, str], tensors: dict[str, Tensor]) -> None:
    content: bytes = _safetensors().save(tensors, {**metadata, "sha256": _NO_DIGITS})
    digits = hashlib.sha256(content).hexdigest()
    write_whole(path, content.replace(_NO_DIGITS.encode(), digits.encode(), 1))
