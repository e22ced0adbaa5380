"""Which of k solutions to give: the best by a verifier, or the answer with most votes or most score.

All figures are means over the subsets of k of a problem's n samples, so one set of samples serves every
k. `metrics.pass_at_k` is the oracle's, `metrics.maj_at_k` the plain majority's.
"""

from collections.abc import Sequence
from math import comb

import numpy as np

SUBSETS = 200  # drawn for weighted votes, where no formula is known


def best_of_k(correct: Sequence[float], scores: Sequence[float]) -> list[float]:
    """For every k from 1 to n, the chance that the highest score of k samples is of a correct one.

    Exact: the sample of rank r (from 0) is the best of C(n - 1 - r, k - 1) of the C(n, k) subsets.
    Equal scores are ordered at random. `correct` are 0 or 1, or a share.
    """
    values, keys = np.asarray(correct, dtype=float), np.asarray(scores, dtype=float)
    order = np.argsort(-keys, kind="stable")
    ranked, sorted_keys = values[order].copy(), keys[order]
    for key in np.unique(sorted_keys):
        tied = sorted_keys == key
        ranked[tied] = ranked[tied].mean()
    n = len(ranked)
    return [
        sum(value * comb(n - 1 - r, k - 1) for r, value in enumerate(ranked)) / comb(n, k)
        for k in range(1, n + 1)
    ]


def weighted_vote(
    answers: Sequence[int | None], correct: Sequence[float], weights: Sequence[float]
) -> float:
    """The chance that the answer with the greatest sum of weights is correct.

    `answers` are the samples' groups of equal answers, None for a sample without one, which does not
    vote. A tie is broken at random; without any answer it is wrong. With equal weights this is the
    majority vote.
    """
    sums: dict[int, float] = {}
    shares: dict[int, list[float]] = {}
    for answer, right, weight in zip(answers, correct, weights, strict=True):
        if answer is not None:
            sums[answer] = sums.get(answer, 0.0) + weight
            shares.setdefault(answer, []).append(right)
    if not sums:
        return 0.0
    most = max(sums.values())
    winners = [answer for answer, total in sums.items() if np.isclose(total, most, rtol=1e-12)]
    return float(np.mean([np.mean(shares[answer]) for answer in winners]))


def weighted_at_k(
    answers: Sequence[int | None],
    correct: Sequence[float],
    weights: Sequence[float],
    k: int,
    seed: int = 0,
) -> float:
    """The mean of `weighted_vote` over subsets of k samples: all of them, or `SUBSETS` drawn by `seed`."""
    n = len(answers)
    if k == n:
        return weighted_vote(answers, correct, weights)
    rng = np.random.default_rng([seed, n, k])
    votes = []
    for _ in range(SUBSETS if k > 1 else n):
        chosen = rng.choice(n, k, replace=False) if k > 1 else [len(votes)]
        votes.append(
            weighted_vote(
                [answers[i] for i in chosen],
                [correct[i] for i in chosen],
                [weights[i] for i in chosen],
            )
        )
    return float(np.mean(votes))
