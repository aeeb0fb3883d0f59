"""model.safetensors, docs/files.md: read with every byte verified, written whole or not at all."""
from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from torch import Tensor

from longstride.errors import CorruptData

_NO_DIGITS = "0" * 64  # what the hash counts in its own place


def _needs_safetensors() -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise ImportError("longstride.torch: checkpoints need the package safetensors; pip install longstride[torch]") from error
    return safetensors


def read(path: str) -> dict[str, Tensor]:
    """The tensors of a file whose header was checked. Errors: CorruptData."""
    safetensors = _needs_safetensors()
    with open(path, "rb") as file:
        content = file.read()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    digits = header["__metadata__"].get("sha256")
    if digits is not None and _hash(content, digits) != digits:
        raise CorruptData(f'checkpoint "{path}" has other bytes than were written: its SHA-256 differs')
    tensors: dict[str, Tensor] = safetensors.torch.load(content)
    return tensors


def write(path: str, config: dict[str, Any], step: int, tensors: dict[str, Tensor]) -> None:
    """tensors: float32, without gaps."""
    safetensors = _needs_safetensors()
    metadata = {"format": "longstride-1", "config": json.dumps(config), "step": str(step), "sha256": _NO_DIGITS}
    content = safetensors.torch.save(tensors, metadata)
    digits = hashlib.sha256(content).hexdigest()
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(content.replace(_NO_DIGITS.encode(), digits.encode(), 1))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _hash(content: bytes, digits: str) -> str:
    at = content.find(digits.encode())
    return hashlib.sha256(content[:at] + _NO_DIGITS.encode() + content[at + 64 :]).hexdigest()
