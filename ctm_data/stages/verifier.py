"""The `verifier` table: labelled solutions, from which a verifier learns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from ctm_data.config import BuildConfig
from ctm_data.run.records import problems_of, solutions_of
from ctm_data.run.store import Store
from ctm_eval.cotnpot import describe, with_description
from ctm_eval.engines import LazyEngine, Sampler
from ctm_eval.progress import Progress
from ctm_eval.prompts import prompt
from ctm_eval.scoring import program_of
from ctm_eval.targets import target_text
from ctm_eval.types import Problem, Solution


def write(
    store: Store,
    chunks: Iterable[int],
    config: BuildConfig,
    engines: Mapping[str, LazyEngine[Sampler]],
    progress: Progress,
) -> None:
    """Writes the `verifier` table: the solutions of a run with their labels and, with `describe`, the
    programs among them as described by `engines`, the models that wrote them."""
    numbers = list(chunks)
    for done, chunk in enumerate(numbers, 1):
        own = solutions_of(store, chunk)
        rows = [
            row
            for problem in problems_of(store, chunk)
            for row in labelled(
                problem, own[problem.problem_id], balance=config.balance, seed=config.seed
            )
        ]
        if rows and store.done("verifier", chunk) != {(row["solution_id"],) for row in rows}:
            if config.describe:
                _describe(rows, list(problems_of(store, chunk)), engines, config.seed)
            store.write("verifier", chunk, rows)
        progress("labelling", done, len(numbers))


def labelled(
    problem: Problem, solutions: Sequence[Solution], *, balance: bool = False, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """The labelled solutions of a problem, of equal ones the first.

    Equal are texts that differ in white space alone. With `balance` there are as many right as wrong
    ones, drawn by `seed`: none where all are of one kind. The prompt is the bare exercise, however the
    question was put to the generator, so that a verifier reads the solutions of all generators alike.
    """
    distinct: dict[str, Solution] = {}
    for solution in solutions:
        distinct.setdefault(" ".join(target_text(solution).split()), solution)
    kept = list(distinct.values())
    if balance:
        rng = Random(f"balance {seed} {problem.problem_id}")
        sides = [[s for s in kept if s.correct == right] for right in (True, False)]
        drawn = {s.solution_id for side in sides for s in rng.sample(side, min(map(len, sides)))}
        kept = [s for s in kept if s.solution_id in drawn]
    for solution in kept:
        yield {
            "solution_id": solution.solution_id,
            "problem_id": problem.problem_id,
            "kind": "code" if problem.tests else "math",
            "generator": solution.model,
            "question": problem.question,
            "prompt": prompt(problem),
            "solution": target_text(solution),
            "description": None,
            "correct": solution.correct,
        }


def read_by_verifier(solution: str, description: str | None) -> str:
    """The text that a verifier reads: a solution as it is, or a program and its description."""
    if description is None:
        return solution
    return with_description(program_of(solution) or "", description)


def right_and_wrong(
    rows: Sequence[Mapping[str, Any]], seed: int
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Pairs of a right and a wrong row of the same problem, as many as there are of the rarer kind, at
    random by `seed`: no row is in two pairs."""
    problems: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        problems.setdefault(row["problem_id"], []).append(row)
    for problem_id, own in problems.items():
        rng = Random(f"pairs {seed} {problem_id}")
        sides = [[row for row in own if row["correct"] == right] for right in (True, False)]
        fewer = min(map(len, sides))
        yield from zip(*(rng.sample(side, fewer) for side in sides), strict=True)


def _describe(
    rows: list[dict[str, Any]],
    problems: Iterable[Problem],
    engines: Mapping[str, LazyEngine[Sampler]],
    seed: int,
) -> None:
    by_id = {problem.problem_id: problem for problem in problems}
    for name, engine in engines.items():
        own = [row for row in rows if row["generator"] == name]
        items = [(by_id[row["problem_id"]], program_of(row["solution"]) or "") for row in own]
        told = describe(engine(), items, seed=seed) if items else []
        for row, description in zip(own, told, strict=True):
            row["description"] = description
