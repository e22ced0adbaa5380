"""Rows of the `verifier` table: what a verifier learns from, out of the solutions of a run."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from ctm_data.solutions import Solution
from ctm_eval.benchmarks import Problem, prompt
from ctm_eval.cotnpot import with_description
from ctm_eval.scoring import program_of


def labelled(
    problem: Problem, solutions: Sequence[Solution], *, balance: bool = False, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """The labelled solutions of a problem, of equal ones the first.

    Equal are texts that differ in white space alone. With `balance` there are as many right as wrong
    ones, drawn by `seed`: none where all are of one kind.
    """
    distinct: dict[str, Solution] = {}
    for solution in solutions:
        distinct.setdefault(" ".join(solution.text.split()), solution)
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
            "solution": solution.text,
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
