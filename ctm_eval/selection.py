"""Which of a problem's sampled solutions become training data (arXiv 2411.19943, section 3).

A solution is anything with `correct`, `answer` and `token_ids`. Answers are grouped by equality and
counted over all samples; solutions with equal token ids then count as one candidate. Solutions
without an answer belong to no group and are never selected.
"""

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from ctm_eval.grading import equal


class Solution(Protocol):
    """What selection looks at."""

    @property
    def correct(self) -> bool: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def token_ids(self) -> Sequence[int]: ...


S = TypeVar("S", bound=Solution)


def positives(solutions: Sequence[S], rng: Random) -> list[S]:
    """One correct solution at random, for the positive model; none if there is no correct one."""
    candidates = distinct([s for s in solutions if s.correct])
    return [rng.choice(candidates)] if candidates else []


def negatives(solutions: Sequence[S], rng: Random, top_p: float = 0.5) -> list[S]:
    """One solution for each of the most frequent wrong answers that cover `top_p` of the wrong cases.

    Most frequent answer first; the answer that reaches `top_p` is the last.
    """
    groups = by_answer([s for s in solutions if not s.correct])
    total, covered, chosen = sum(map(len, groups)), 0, []
    for group in groups:
        if covered >= top_p * total:
            break
        covered += len(group)
        chosen.append(rng.choice(distinct(group)))
    return chosen


def preference_pairs(
    solutions: Sequence[S], rejected: Sequence[S], rng: Random
) -> list[tuple[S, S]]:
    """(chosen, rejected) for each of `rejected`, the chosen ones drawn from the modal correct answer.

    The paper rejects a solution of the modal wrong answer, the first of `negatives`.
    """
    right = by_answer([s for s in solutions if s.correct])
    if not right:
        return []
    candidates = distinct(right[0])
    return [(rng.choice(candidates), wrong) for wrong in rejected]


def by_answer(solutions: Sequence[S]) -> list[list[S]]:
    """Solutions grouped by equal answers, largest group first, ties by first appearance."""
    groups: list[list[S]] = []
    home: dict[str, list[S]] = {}
    for solution in solutions:
        answer = solution.answer
        if answer is None:
            continue
        if answer not in home:
            same = (group for group in groups if equal(str(group[0].answer), answer))
            group = next(same, None)
            if group is None:
                group = []
                groups.append(group)
            home[answer] = group
        home[answer].append(solution)
    return sorted(groups, key=len, reverse=True)


def distinct(solutions: Sequence[S]) -> list[S]:
    """The solutions without repetitions of the same token ids, in their order."""
    return list({tuple(s.token_ids): s for s in reversed(solutions)}.values())[::-1]
