"""Grade many responses, in order, over several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from ctm_eval.errors import CtmError
from ctm_eval.grading.grade import grade
from ctm_eval.grading.verdict import Verdict

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ctm_eval.grading.workers import WorkerPool

CHUNK = 256
"""Responses sent to a process at a time."""
SECONDS_PER_RESPONSE = 5.0
"""A response that takes longer loses its process and counts as a timeout."""

Row = tuple[str, str] | tuple[str, str, bool]
"""A gold, a response and, where it matters, whether the response ended by itself."""


def grade_many(
    rows: Iterable[Row],
    benchmark: str | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Yield the verdict of each `(gold, text)` or `(gold, text, finished)` in order.

    `processes` defaults to the number of CPUs; with 1 the grading happens in this process. Rows
    are read as they are needed. `progress` is called with the number graded so far. Raises
    CtmError as `grade` does.
    """
    processes = processes or os.cpu_count() or 1
    done = 0
    for verdicts in _chunks_graded(iter(rows), benchmark, processes):
        done += len(verdicts)
        if progress is not None:
            progress(done)
        yield from verdicts


def serve() -> None:
    """Grade chunks in a worker process."""
    from ctm_eval.grading.workers import answer_requests

    answer_requests(_reply)


def _reply(request: Any) -> object:
    try:
        return [_plain(verdict) for verdict in _grade_rows(*request)]
    except CtmError as error:  # a wrong call, to be raised on the other side
        return {"error": str(error)}


def _chunks_graded(
    rows: Iterator[Row], benchmark: str | None, processes: int
) -> Iterator[list[Verdict]]:
    first = list(islice(rows, CHUNK))
    if processes == 1 or len(first) < CHUNK:
        while first:
            yield _grade_rows(first, benchmark)
            first = list(islice(rows, CHUNK))
        return
    from concurrent.futures import ThreadPoolExecutor

    from ctm_eval.grading.workers import WorkerPool

    pool = WorkerPool(__name__, processes)
    try:
        with ThreadPoolExecutor(processes, thread_name_prefix="grading") as threads:
            waiting: list[Future[list[Verdict]]] = []
            chunk = first
            while chunk or waiting:
                if chunk:
                    waiting.append(threads.submit(_ask, pool, chunk, benchmark))
                    chunk = list(islice(rows, CHUNK))
                if len(waiting) > 2 * processes or not chunk:
                    yield waiting.pop(0).result()
    finally:
        pool.close()


def _ask(pool: WorkerPool, rows: list[Row], benchmark: str | None) -> list[Verdict]:
    """Grade a chunk in a worker; a row that takes the worker down is found and set aside."""
    from ctm_eval.grading.workers import WorkerLost

    try:
        reply = pool.ask([rows, benchmark], SECONDS_PER_RESPONSE * max(1, min(len(rows), 12)))
    except WorkerLost:
        if len(rows) == 1:
            return [Verdict(False, "timeout")]
        middle = len(rows) // 2
        return _ask(pool, rows[:middle], benchmark) + _ask(pool, rows[middle:], benchmark)
    if reply is None:  # out of memory
        return [Verdict(False, "timeout")] * len(rows) if len(rows) == 1 else [
            verdict for row in rows for verdict in _ask(pool, [row], benchmark)
        ]  # fmt: skip
    if isinstance(reply, dict):
        raise CtmError(reply["error"])
    return [Verdict(*fields) for fields in reply]


def _grade_rows(rows: list[Any], benchmark: str | None) -> list[Verdict]:
    return [
        grade(row[0], row[1], benchmark, finished=row[2] if len(row) > 2 else True) for row in rows
    ]


def _plain(verdict: Verdict) -> list[Any]:
    return [verdict.correct, verdict.reason, verdict.answer, verdict.layer]
