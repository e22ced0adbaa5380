"""Finding the first wrong step: a verifier's scores of steps against the marks of humans.

The step that a verifier calls wrong is the first whose score is below a threshold; a solution without such
a step it calls right. Accuracy on wrong solutions counts those whose very step is found, accuracy on right
ones those that are called right; F1 is the harmonic mean of the two. Source: ProcessBench, arXiv
2412.06559, section 4.1, whose authors choose the threshold of a PRM by the best F1 on the GSM8K subset;
ours is 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ctm_eval.marked import Marked
from ctm_eval.metrics import Estimate, clustered
from ctm_eval.progress import Advance
from ctm_eval.prompts import exercise
from ctm_eval.verifiers import STEP_THRESHOLD, Candidate, Verifier

ROUNDS = 2000


@dataclass(frozen=True)
class Subset:
    """Accuracy on `n_wrong` wrong and `n_right` right solutions, None where there are none, and F1 with
    its 95% bootstrap interval over problems; all None without both kinds."""

    name: str
    n_wrong: int
    wrong: Estimate | None
    n_right: int
    right: Estimate | None
    f1: float | None
    low: float | None
    high: float | None


def find_errors(
    verifier: Verifier,
    marked: Sequence[Marked],
    threshold: float = STEP_THRESHOLD,
    seed: int = 0,
    progress: Advance | None = None,
) -> list[Subset]:
    """The figures of each subset of `marked`, in their order. Raises CtmError for a verifier that gives
    steps no score."""
    scores = verifier.step_scores(
        [Candidate(exercise(one.problem.question), one.text) for one in marked],
        [[end for _, end in one.steps] for one in marked],
        progress,
    )
    hits = [
        first_error(own, threshold) == one.label for own, one in zip(scores, marked, strict=True)
    ]
    judged: dict[str, list[tuple[Marked, bool]]] = {}
    for one, hit in zip(marked, hits, strict=True):
        judged.setdefault(one.subset, []).append((one, hit))
    return [subset(name, own, seed) for name, own in judged.items()]


def first_error(scores: Sequence[float], threshold: float = STEP_THRESHOLD) -> int | None:
    """The index of the first score below the threshold; None for none."""
    return next((index for index, score in enumerate(scores) if score < threshold), None)


def subset(name: str, judged: Sequence[tuple[Marked, bool]], seed: int = 0) -> Subset:
    """The figures of solutions, each with whether it was judged as it is marked."""
    import numpy as np

    problems = list(dict.fromkeys(one.problem.problem_id for one, _ in judged))
    place = {problem: i for i, problem in enumerate(problems)}
    counts = np.zeros((len(problems), 2, 2))  # problem, wrong or right, (solutions, hits)
    for one, hit in judged:
        counts[place[one.problem.problem_id], int(one.label is None)] += (1, hit)
    kinds = []
    for kind in range(2):
        own = counts[counts[:, kind, 0] > 0, kind]
        most = int(own[:, 0].max()) if len(own) else 0
        kinds.append(clustered((own[:, 1] / own[:, 0]).tolist(), most) if most else None)
    n_wrong, n_right = (int(n) for n in counts[:, :, 0].sum(0))
    f1 = low = high = None
    if n_wrong and n_right:
        resamples = np.random.default_rng(seed).integers(
            len(problems), size=(ROUNDS, len(problems))
        )
        f1 = _f1(counts.sum(0))
        drawn = [_f1(counts[rows].sum(0)) for rows in resamples]
        low, high = (float(q) for q in np.nanquantile(drawn, [0.025, 0.975]))
    return Subset(name, n_wrong, kinds[0], n_right, kinds[1], f1, low, high)


def _f1(counts: "Sequence[Sequence[float]]") -> float:
    """Of (solutions, hits) of wrong and of right ones; not a number without both kinds."""
    (wrong, found), (right, passed) = counts
    if not wrong or not right:
        return float("nan")
    one, other = found / wrong, passed / right
    return 2 * one * other / (one + other) if one + other else 0.0
