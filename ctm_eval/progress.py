"""How long-running work reports its progress."""

from collections.abc import Mapping
from typing import Any, Protocol


class Advance(Protocol):
    """Called with what was done since its last call."""

    def __call__(self, units: float, tokens: int, cached: int = 0, /) -> None:
        """`units` of work are finished, and `tokens` were generated or read. `cached` tokens needed no pass
        through the model of their own, as another request begins with the same ones."""


class Progress(Protocol):
    """Called with the state of a stage; the numbers are totals since the stage began."""

    def __call__(
        self,
        stage: str,
        done: float,
        total: float,
        tokens: int = 0,
        note: str = "",
        figures: Mapping[str, int] | None = None,
    ) -> None:
        """`done` of `total` units of `stage` are finished; `note` is a short remark to display, `figures`
        are further numbers by name."""


def silent(*state: Any, **more: Any) -> None:
    """Reports nothing."""


def scaled(advance: Advance, by: float) -> Advance:
    """An `Advance` whose units are multiplied, for a part of some work."""
    return lambda units, tokens, cached=0: advance(by * units, tokens, cached)


class Counter:
    """An `Advance` that adds up its calls and reports the totals of one stage to a `Progress`.

    How fast a stage is can be told from its first report on: report where the work begins, with 0 units.
    """

    def __init__(self, progress: Progress | None, stage: str, total: float) -> None:
        self._progress, self._stage, self._total = progress or silent, stage, total
        self._done: float = 0
        self._tokens = self._cached = 0

    def __call__(self, units: float, tokens: int = 0, cached: int = 0, /) -> None:
        self._done, self._tokens = self._done + units, self._tokens + tokens
        self._cached += cached
        state = self._stage, self._done, self._total, self._tokens
        if self._cached:
            self._progress(*state, figures={"cached_tokens": self._cached})
        else:
            self._progress(*state)

    def skip(self, units: float) -> None:
        """Adds units that were finished before. They are in the next report, since they took no time."""
        self._done += units

    def scaled(self, units: float) -> Advance:
        """An `Advance` that counts shares of `units`."""
        return scaled(self, units)


class Traffic:
    """A `Progress` that adds the requests to a server: `in_flight` now, and `retries` since the start.

    The server calls `tell`, since a stage that waits for it reports nothing.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.in_flight = self.retries = 0
        self._progress = progress or silent
        self._last: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __call__(self, *state: Any, **more: Any) -> None:
        self._last = state, more
        told = {"in_flight": self.in_flight, "retries": self.retries}
        self._progress(*state, **{**more, "figures": {**more.get("figures", {}), **told}})

    def tell(self) -> None:
        """Reports the last state again, with the requests as they are now."""
        state, more = self._last
        if state:
            self(*state, **more)
