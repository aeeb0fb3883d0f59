"""longstride: Sparse Transformers over bytes. Child et al. 2019 (arXiv 1904.10509)."""

from longstride import _core
from longstride.errors import (
    CorruptData,
    Diverged,
    Error,
    Exhausted,
    InvalidArgument,
    MissingFile,
    Unavailable,
)
from longstride.pattern import Drawing, Explanation, Pattern, Reach, explain, lint, reach

__version__: str = _core.version()

__all__ = [
    "CorruptData",
    "Diverged",
    "Drawing",
    "Error",
    "Exhausted",
    "Explanation",
    "InvalidArgument",
    "MissingFile",
    "Pattern",
    "Reach",
    "Unavailable",
    "explain",
    "lint",
    "reach",
]
