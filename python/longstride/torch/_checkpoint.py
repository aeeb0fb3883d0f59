"""model.safetensors, docs/files.md: read with every byte verified, written whole or not at all."""
from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from torch import Tensor

from longstride.errors import CorruptData

_NO_DIGITS = "0" * 64  # what the hash counts in its own place


def corrupt(path: str, what: str) -> CorruptData:
    return CorruptData(f'checkpoint "{path}" {what}')


def _needs_safetensors() -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise ImportError("longstride.torch: checkpoints need the package safetensors; pip install longstride[torch]") from error
    return safetensors


def read(path: str) -> tuple[dict[str, Any], int, dict[str, Tensor]]:
    """Configuration, step and tensors. Errors: CorruptData."""
    safetensors = _needs_safetensors()
    with open(path, "rb") as file:
        content = file.read()
    try:
        tensors = safetensors.torch.load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError) as error:
        raise corrupt(path, f"is no whole safetensors file: {error}") from None
    if metadata.get("format") != "longstride-1":
        raise corrupt(path, f"is not a model of longstride: its metadata have the format {metadata.get('format')!r}")
    digits = metadata.get("sha256", "")
    if digits and _hash(content, digits) != digits:
        raise corrupt(path, "has other bytes than were written: its SHA-256 differs")
    return json.loads(metadata["config"]), int(metadata["step"]), tensors


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
