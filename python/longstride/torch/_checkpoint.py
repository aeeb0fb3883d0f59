"""model.safetensors, docs/files.md: written whole or not at all, with the hash that the program verifies."""
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
        raise ImportError("longstride.torch: checkpoints need the package safetensors; pip install longstride[torch]") from error
    return safetensors.torch


def read(path: str) -> dict[str, Tensor]:
    """Of a file that longstride.info has verified."""
    tensors: dict[str, Tensor] = _safetensors().load_file(path)
    return tensors


def write(path: str, config: dict[str, Any], step: int, tensors: dict[str, Tensor]) -> None:
    """tensors: float32, without gaps."""
    metadata = {"format": "longstride-1", "config": json.dumps(config), "step": str(step), "sha256": _NO_DIGITS}
    content: bytes = _safetensors().save(tensors, metadata)
    digits = hashlib.sha256(content).hexdigest()
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(content.replace(_NO_DIGITS.encode(), digits.encode(), 1))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
