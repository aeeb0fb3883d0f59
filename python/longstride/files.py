"""Files that are there whole or not at all, written as the library writes its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longstride import _core


def write_text(path: str, text: str) -> None:
    _core.write_text(path, text)


def write_png(path: str, picture: NDArray[np.uint8]) -> None:
    """picture: (H, W, 3), (H, W, 1) or (H, W), uint8."""
    height, width = picture.shape[:2]
    _core.write_png(path, np.ascontiguousarray(picture).ravel(), height, width)
