"""Finding the first wrong step: a verifier's scores of steps against the marks of humans.

The step that a verifier calls wrong is the first whose score is below a threshold; a solution without such
a step it calls right. Accuracy on wrong solutions is the share whose very step is found, accuracy on right
ones the share that is called right. F1 is the harmonic mean of the two, and that of several subsets the
mean of theirs. The threshold is given, or the one with the best F1 on a subset. Source: ProcessBench,
arXiv 2412.06559, section 4.1, whose authors choose it on the GSM8K subset.

Two who read nothing set the scale: one draws a step, or none, at random; the other tosses a coin between
the first step and none, with the odds that suit the subset best. Who always says the first step, or never
any, has an F1 of 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf, sqrt
from typing import TYPE_CHECKING

from ctm_eval.errors import CtmError
from ctm_eval.marked import Marked
from ctm_eval.metrics import Estimate, pooled
from ctm_eval.progress import Advance
from ctm_eval.prompts import exercise
from ctm_eval.verifiers import STEP_THRESHOLD, Candidate, Verifier

if TYPE_CHECKING:
    import numpy as np

ROUNDS = 2000
AVERAGE = "average"  # the name of the mean of the subsets


@dataclass(frozen=True)
class Subset:
    """Accuracy on `n_wrong` wrong and `n_right` right solutions, None where there are none, and F1 with
    its 95% bootstrap interval over problems; all None without both kinds.

    `random` and `coin` are the F1 of who reads nothing.
    """

    name: str
    n_wrong: int
    wrong: Estimate | None
    n_right: int
    right: Estimate | None
    f1: float | None
    low: float | None
    high: float | None
    random: float | None = None
    coin: float | None = None
    threshold: float | None = None


def find_errors(
    verifier: Verifier,
    marked: Sequence[Marked],
    threshold: float = STEP_THRESHOLD,
    seed: int = 0,
    progress: Advance | None = None,
    tune_on: str | None = None,
) -> list[Subset]:
    """The figures of each subset of `marked`, in their order, and of their average if there are several.

    `tune_on` names the subset that the threshold is chosen on. Raises CtmError if there is none of that
    name, or for a verifier that gives steps no score.
    """
    _subset_called(tune_on, marked)
    scores = verifier.step_scores(
        [Candidate(exercise(one.problem.question), one.text) for one in marked],
        [[end for _, end in one.steps] for one in marked],
        progress,
    )
    return judged(marked, scores, threshold, seed, tune_on)


def judged(
    marked: Sequence[Marked],
    scores: Sequence[Sequence[float]],
    threshold: float = STEP_THRESHOLD,
    seed: int = 0,
    tune_on: str | None = None,
) -> list[Subset]:
    """The figures as `find_errors` gives them, from the scores of the steps of each solution."""
    import numpy as np

    _subset_called(tune_on, marked)
    subsets: dict[str, list[tuple[Marked, Sequence[float]]]] = {}
    for one, own in zip(marked, scores, strict=True):
        subsets.setdefault(one.subset, []).append((one, own))
    if tune_on is not None:
        threshold = best_threshold([(own, one.label) for one, own in subsets[tune_on]])
    found, drawn = [], []
    for name, rows in subsets.items():
        hits = [(one, float(first_error(own, threshold) == one.label)) for one, own in rows]
        figures, rounds = _measured(name, hits, seed, threshold)
        found.append(figures)
        if rounds is not None:
            drawn.append(rounds)
    if len(drawn) > 1:
        known = [one for one in found if one.f1 is not None]
        n_wrong, n_right = (sum(getattr(one, n) for one in known) for n in ("n_wrong", "n_right"))
        f1, random, coin = (
            float(np.mean([getattr(one, name) for one in known]))
            for name in ("f1", "random", "coin")
        )
        low, high = map(float, np.nanquantile(np.mean(drawn, axis=0), [0.025, 0.975]))
        found.append(
            Subset(AVERAGE, n_wrong, None, n_right, None, f1, low, high, random, coin, threshold)
        )
    return found


def first_error(scores: Sequence[float], threshold: float = STEP_THRESHOLD) -> int | None:
    """The index of the first score below the threshold; None for none."""
    return next((index for index, score in enumerate(scores) if score < threshold), None)


def best_threshold(solutions: Sequence[tuple[Sequence[float], int | None]]) -> float:
    """The threshold with the best F1 on solutions, each the scores of its steps and its label: halfway
    between two scores, the lowest of equals; 0.5 where all are of one kind."""
    import numpy as np

    # A wrong solution is a hit for thresholds above the score of its step, up to the least before it.
    spans: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    edges = {0.0, 1.0}
    for own, label in solutions:
        least = list(accumulate(own, min))
        edges.update(least)
        if label is None:
            spans[1].append((-inf, least[-1]))
        else:
            spans[0].append((own[label], least[label - 1] if label else inf))
    if not all(spans):
        return STEP_THRESHOLD
    ordered = np.array(sorted(edges))
    tried = np.concatenate([(ordered[:-1] + ordered[1:]) / 2, [np.nextafter(ordered[-1], 2)]])
    wrong, right = (
        sum((tried > low) & (tried <= high) for low, high in kind) / len(kind) for kind in spans
    )
    total = wrong + right
    f1 = np.divide(2 * wrong * right, total, out=np.zeros_like(total), where=total > 0)
    return float(tried[f1.argmax()])


def subset(
    name: str,
    hits: Sequence[tuple[Marked, float]],
    seed: int = 0,
    threshold: float | None = None,
) -> Subset:
    """The figures of solutions, each with whether it was judged as it is marked (or how likely that is)."""
    return _measured(name, hits, seed, threshold)[0]


def _subset_called(name: str | None, marked: Sequence[Marked]) -> None:
    """Raises CtmError unless there is one of that name, or none is named."""
    known = dict.fromkeys(one.subset for one in marked)
    if name is not None and name not in known:
        raise CtmError(f"there is no subset {name!r}; there are: {', '.join(known)}", usage=True)


def _measured(
    name: str, hits: Sequence[tuple[Marked, float]], seed: int, threshold: float | None
) -> "tuple[Subset, np.ndarray | None]":
    """The figures, and F1 in each round of the bootstrap."""
    import numpy as np

    problems = list(dict.fromkeys(one.problem.problem_id for one, _ in hits))
    place = {problem: i for i, problem in enumerate(problems)}
    counts = np.zeros((len(problems), 2, 2))  # problem, wrong or right, (solutions, hits)
    for one, hit in hits:
        counts[place[one.problem.problem_id], int(one.label is None)] += (1, hit)
    kinds = []
    for kind in range(2):
        own = counts[counts[:, kind, 0] > 0, kind]
        kinds.append(
            pooled(own[:, 1].tolist(), own[:, 0].astype(int).tolist()) if len(own) else None
        )
    n_wrong, n_right = (int(n) for n in counts[:, :, 0].sum(0))
    if not n_wrong or not n_right:
        return Subset(name, n_wrong, kinds[0], n_right, kinds[1], None, None, None), None
    resamples = np.random.default_rng(seed).integers(len(problems), size=(ROUNDS, len(problems)))
    drawn = np.array([_f1(counts[rows].sum(0)) for rows in resamples])
    low, high = (float(q) for q in np.nanquantile(drawn, [0.025, 0.975]))
    figures = Subset(
        name, n_wrong, kinds[0], n_right, kinds[1], _f1(counts.sum(0)), low, high,
        *_unread([one for one, _ in hits]), threshold,
    )  # fmt: skip
    return figures, drawn


def _unread(marked: Sequence[Marked]) -> tuple[float, float]:
    """F1 of a random verdict, and of the best coin between the first step and none.

    With a share a of first steps among the wrong solutions, a coin that says none with probability p has
    accuracies (1 - p)a and p; their harmonic mean is greatest at p = √a / (1 + √a).
    """
    wrong = [1 / (len(one.steps) + 1) for one in marked if one.label is not None]
    right = [1 / (len(one.steps) + 1) for one in marked if one.label is None]
    first = sum(one.label == 0 for one in marked) / len(wrong)
    return (
        _f1([[len(wrong), sum(wrong)], [len(right), sum(right)]]),
        2 * first / (1 + sqrt(first)) ** 2,
    )


def _f1(counts: "Sequence[Sequence[float]] | np.ndarray") -> float:
    """Of (solutions, hits) of wrong and of right ones; not a number without both kinds."""
    (wrong, found), (right, passed) = counts
    if not wrong or not right:
        return float("nan")
    one, other = found / wrong, passed / right
    return float(2 * one * other / (one + other)) if one + other else 0.0
