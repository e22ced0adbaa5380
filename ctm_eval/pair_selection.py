"""Selects the sampled solutions of a problem that become training data (arXiv 2411.19943, section 3).

Answers are grouped by equality and counted over all samples. Within a group, solutions with equal token ids
are one candidate. Solutions without an answer belong to no group and are never selected.
"""

from collections.abc import Sequence
from random import Random

from ctm_eval.grading import equal
from ctm_eval.seeds import seed_of
from ctm_eval.types import Problem, Solution

Pair = tuple[Problem, Solution, Solution]  # the right solution, then the wrong one


def select_wrong(
    problem: Problem, solutions: Sequence[Solution], count: int, seed: int
) -> list[Solution]:
    """One wrong solution for each of a problem's `count` most common wrong answers."""
    rng = Random(seed_of(seed, problem.problem_id, "negatives"))
    return negatives(solutions, rng)[:count]


def select_right(
    problem: Problem, solutions: Sequence[Solution], count: int, seed: int
) -> list[Solution]:
    """`count` different right solutions of a problem at most, drawn at random."""
    candidates = distinct([s for s in solutions if s.correct])
    rng = Random(seed_of(seed, problem.problem_id, "positives"))
    return rng.sample(candidates, min(count, len(candidates)))


def left_out(right: int, samples: int, pass_rate: tuple[float, float] | None = None) -> str | None:
    """Why a problem of which `right` of `samples` are right is not rolled out; None if it is.

    A `pass_rate` of None asks for at least one right sample: where the model never succeeds, the values
    are 0 from the start and no token can be blamed.
    """
    low, high = pass_rate or (0.0, 1.0)
    rate = right / samples if samples else 0.0
    if rate < low or rate > high:
        return (
            f"solved in {'less' if rate < low else 'more'} than {low if rate < low else high:.0%}"
        )
    return "never solved" if pass_rate is None and not right else None


def select_pairs(
    problem: Problem, solutions: Sequence[Solution], count: int, seed: int
) -> list[Pair]:
    """Pairs of a right solution and each solution of `select_wrong`, the trajectories to roll out."""
    rng = Random(seed_of(seed, problem.problem_id, "chosen"))
    wrong = select_wrong(problem, solutions, count, seed)
    return [(problem, *pair) for pair in preference_pairs(solutions, wrong, rng)]


def positives(solutions: Sequence[Solution], rng: Random) -> list[Solution]:
    """One random correct solution to train the positive model; empty if there is none."""
    candidates = distinct([s for s in solutions if s.correct])
    return [rng.choice(candidates)] if candidates else []


def negatives(solutions: Sequence[Solution], rng: Random, top_p: float = 0.5) -> list[Solution]:
    """One solution for each of the most frequent wrong answers that cover `top_p` of the wrong cases.

    The most frequent answer comes first; the answer with which the total reaches `top_p` is the last.
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
    solutions: Sequence[Solution], rejected: Sequence[Solution], rng: Random
) -> list[tuple[Solution, Solution]]:
    """(chosen, rejected) for each of `rejected`, the chosen ones drawn from the modal correct answer.

    The paper rejects a solution of the modal wrong answer, the first of `negatives`.
    """
    right = by_answer([s for s in solutions if s.correct])
    if not right:
        return []
    candidates = distinct(right[0])
    return [(rng.choice(candidates), wrong) for wrong in rejected]


def by_answer(solutions: Sequence[Solution]) -> list[list[Solution]]:
    """Solutions grouped by equal answers, largest group first, ties by first appearance."""
    groups: list[list[Solution]] = []
    home: dict[str, list[Solution]] = {}
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


def distinct(solutions: Sequence[Solution]) -> list[Solution]:
    """The solutions without repetitions: the first of those with equal token ids."""
    return list({tuple(s.token_ids): s for s in reversed(solutions)}.values())[::-1]
