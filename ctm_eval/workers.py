"""Who does the units of a stage: an engine in this process, or the actors of `ray_workers`.

A unit is what one part of a table is made from. Workers make its rows, and the caller writes them; so
whoever made them, the parts are the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ctm_eval.engines import Engine, LazyEngine
from ctm_eval.grading import Verdict
from ctm_eval.progress import Advance
from ctm_eval.types import Problem

Score = Callable[[Sequence[tuple[Problem, str, bool]]], list[Verdict]]
"""Verdicts on (problem, text, whether it ended by itself)."""
Work = Callable[[Any, Score, Any, Advance], Any]
"""Makes the rows of a unit: called with the engine, how to score, the unit, and what to tell of progress.
A module's function, or a `partial` of one, since it may be sent to another machine."""
U = TypeVar("U")


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
    """An engine in this process: one unit after the other."""

    def __init__(self, engine: LazyEngine[Engine], score: Score) -> None:
        self._engine, self._score = engine, score

    def start(self) -> None:
        self._engine()

    def each(
        self, work: Work, units: Iterable[U], advance: Callable[[U], Advance]
    ) -> Iterator[tuple[U, Any]]:
        for unit in units:
            yield unit, work(self._engine(), self._score, unit, advance(unit))

    def forget(self) -> None:
        self._engine.forget()
