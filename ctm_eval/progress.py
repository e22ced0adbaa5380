"""How long-running work reports its progress."""

from collections.abc import Callable
from typing import Protocol

Advance = Callable[[float, int], None]
"""Called with (units of work finished, tokens generated or read), both since its last call."""


class Progress(Protocol):
    """Called with the state of a stage; the numbers are totals since the stage began."""

    def __call__(
        self, stage: str, done: float, total: float, tokens: int = 0, note: str = ""
    ) -> None:
        """`done` of `total` units of `stage` are finished; `note` is a short remark to display."""


def silent(stage: str, done: float, total: float, tokens: int = 0, note: str = "") -> None:
    """Reports nothing."""


class Counter:
    """An `Advance` that adds up its calls and reports the totals of one stage to a `Progress`."""

    def __init__(self, progress: Progress | None, stage: str, total: float) -> None:
        self._progress, self._stage, self._total = progress or silent, stage, total
        self._done: float = 0
        self._tokens = 0

    def __call__(self, units: float, tokens: int = 0) -> None:
        self._done, self._tokens = self._done + units, self._tokens + tokens
        self._progress(self._stage, self._done, self._total, self._tokens)

    def scaled(self, units: float) -> Advance:
        """An `Advance` that counts shares of `units`."""
        return lambda share, tokens: self(share * units, tokens)
