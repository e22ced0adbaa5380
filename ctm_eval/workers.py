"""Who does the units of a stage: an engine in this process, or the actors of `ray_workers`.

A unit is what one part of a table is made from. Workers make its rows, and the caller writes them; so
whoever made them, the parts are the same.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeVar

from ctm_eval.engines import Engine, LazyEngine
from ctm_eval.grading import Verdict
from ctm_eval.progress import Advance
from ctm_eval.types import Problem

Score = Callable[[Sequence[tuple[Problem, str, bool]]], list[Verdict]]
"""Verdicts on (problem, text, whether it ended by itself)."""
Rows = Callable[[Score], Any]
"""Makes the rows of a unit from what the engine said: called with how to score."""
Work = Callable[[Any, Any, Advance], Rows]
"""Asks the engine what a unit needs: called with the engine, the unit, and what to tell of progress.
A module's function, or a `partial` of one, since it may be sent to another machine."""
U = TypeVar("U")
SOON = 0.05  # of the time that the engine took for a unit: so long it waits for its verdicts


class Workers(Protocol):
    """What makes rows out of units."""

    def start(self) -> None:
        """Loads what the work needs. Raises CtmError if it cannot be loaded."""

    def each(
        self, work: Work, units: Iterable[U], advance: Callable[[U], Advance]
    ) -> Iterator[tuple[U, Any]]:
        """Every unit with its rows, in any order. Units are taken as they are needed; `advance` gives what
        is told of the progress of a unit."""

    def forget(self) -> None:
        """Gives up what was loaded, so that the next has its memory."""


class Here:
    """An engine in this process. It goes on to the next unit while the answers of one are scored."""

    def __init__(self, engine: LazyEngine[Engine], score: Score) -> None:
        self._engine, self._score = engine, score

    def start(self) -> None:
        self._engine()

    def each(
        self, work: Work, units: Iterable[U], advance: Callable[[U], Advance]
    ) -> Iterator[tuple[U, Any]]:
        scored: list[tuple[U, Future[Any]]] = []  # one at most, or the two are scored at once

        def take() -> Iterator[tuple[U, Any]]:
            while scored:
                unit, rows = scored.pop()
                yield unit, rows.result()

        with ThreadPoolExecutor(1) as pool:
            for unit in units:
                began = time.monotonic()
                try:
                    rows = work(self._engine(), unit, advance(unit))
                except (Exception, KeyboardInterrupt):
                    yield from take()  # so that they are not lost with this one
                    raise
                yield from take()
                scored.append((unit, pool.submit(rows, self._score)))
                wait([scored[0][1]], timeout=SOON * (time.monotonic() - began))
                if scored[0][1].done():
                    yield from take()
            yield from take()

    def forget(self) -> None:
        self._engine.forget()
