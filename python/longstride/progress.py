"""A line of progress, by tqdm where it is installed."""

from __future__ import annotations

import importlib
from typing import Any


class Progress:
    """shown: True needs tqdm, None takes it where it is installed, False shows nothing."""

    def __init__(self, shown: bool | None, what: str):
        self._bar: Any = None
        if shown is False:
            return
        try:
            tqdm = importlib.import_module("tqdm.auto").tqdm
        except ImportError:
            if shown:
                raise
            return
        form = "{desc} {percentage:3.0f}% |{bar}| {elapsed}<{remaining} {postfix}"
        self._bar = tqdm(total=1.0, desc=what, bar_format=form)

    def show(self, share: float, words: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update(share - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
