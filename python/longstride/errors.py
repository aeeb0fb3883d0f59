"""The exceptions of the library: each is an Error and also Python's own exception of the fitting kind.

Their text is one sentence: where, what was needed, what was found instead, what helps.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


class Error(Exception):
    """Anything that the library refuses or cannot do."""


class InvalidArgument(Error, ValueError):
    """What was asked for cannot be: an option, a shape, a pattern."""


class MissingFile(InvalidArgument, FileNotFoundError):
    """A path that was named does not exist."""


class CorruptData(Error):
    """A file that is cut, damaged or of another kind."""


class Unavailable(Error, NotImplementedError):
    """This machine, build or process lacks it: an instruction set, a device, a library."""


class Exhausted(Error, MemoryError, OSError):
    """Memory or disk is full, or the system refused a read or a write."""


class Diverged(Error, ArithmeticError):
    """Training met losses or gradients that are not finite, too often to go on; or a score is not finite."""


@contextlib.contextmanager
def naming_missing(*paths: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of what was asked for become MissingFile where one of the paths does not exist."""
    try:
        yield
    except InvalidArgument as error:
        if any(not os.path.lexists(path) for path in paths):
            raise MissingFile(*error.args) from None
        raise
