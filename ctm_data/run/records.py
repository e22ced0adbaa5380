"""Rows of a run as what they stand for: its problems, and the solutions sampled for them."""

from collections.abc import Iterator, Sequence
from typing import Any

from ctm_data.run.store import Store
from ctm_eval.errors import CtmError
from ctm_eval.types import Problem, Solution


def chunked(
    problems: Sequence[Problem], size: int, shard: tuple[int, int] | None = None
) -> dict[int, Sequence[Problem]]:
    """The chunks of `size` problems by number; of a shard (I, N), every N-th from the I-th on."""
    first, step = shard or (0, 1)
    numbers = range(first, -(-len(problems) // size), step)
    return {number: problems[number * size : (number + 1) * size] for number in numbers}


def problems_of(store: Store, chunk: int) -> Iterator[Problem]:
    """The problems of a chunk."""
    for row in store.rows("problems", chunk):
        yield Problem(**{**row, "tests": tuple(row["tests"] or ())})


def solutions_of(store: Store, chunk: int) -> dict[str, list[Solution]]:
    """The solutions of a chunk by problem."""
    own: dict[str, list[Solution]] = {row.problem_id: [] for row in problems_of(store, chunk)}
    for row in store.rows("solutions", chunk):
        if row["problem_id"] not in own:
            raise CtmError(
                f"{store.path('solutions', chunk)} holds solutions of {row['problem_id']!r}, which is no "
                "problem of that chunk: move the file away and run the same command again"
            )
        own[row["problem_id"]].append(Solution(**row))
    return own


def rollouts_of(store: Store, chunk: int) -> dict[str, dict[str, Any]]:
    """The rows of `rollouts` of a chunk by solution; none if it was not rolled out."""
    if not store.path("rollouts", chunk).exists():
        return {}
    return {row["solution_id"]: row for row in store.rows("rollouts", chunk)}


def solutions_in(store: Store) -> Iterator[tuple[int, list[tuple[Problem, Solution]]]]:
    """The chunks of a finished run, each with its solutions and their problems. Raises CtmError."""
    chunks = store.chunks("solutions")
    if not chunks or "parts" not in store.manifest:
        raise CtmError(f"{store.name} is not a finished run with solutions", usage=True)
    return ((chunk, list(solutions_in_part(store, chunk))) for chunk in chunks)


def solutions_in_part(store: Store, chunk: int) -> Iterator[tuple[Problem, Solution]]:
    """The solutions of a chunk with their problems, problem by problem."""
    own = solutions_of(store, chunk)
    for problem in problems_of(store, chunk):
        for solution in own[problem.problem_id]:
            yield problem, solution


def samples(store: Store) -> list[Solution]:
    """All samples of a run."""
    return [Solution(**row) for part in store.each("solutions") for row in part.to_pylist()]


def are_programs(store: Store) -> bool:
    """Whether the problems of a run ask for programs."""
    return any(
        tests for part in store.each("problems", ["tests"]) for tests in part["tests"].to_pylist()
    )


def count_solutions(store: Store) -> int:
    """How many solutions a run has."""
    return sum(part.num_rows for part in store.each("solutions", ["problem_id"]))
