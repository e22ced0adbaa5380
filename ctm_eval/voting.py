"""Choosing one of k solutions: the best by a verifier, or the answer with the most votes or total score.

All figures are means over the subsets of k of a problem's n samples, so one set of samples serves every
k. `metrics.pass_at_k` is the oracle's figure, `metrics.maj_at_k` that of the plain majority. If a filter
marks samples to keep, each subset is reduced to those; a subset without any of them is used unfiltered.
"""

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from ctm_eval.metrics import real_of

ORDERS = 100  # minimum number of orders of the samples; the first k of each order are a subset
AT_ONCE = 1_000_000  # sums of votes held at a time


def best_of_k(
    correct: Sequence[float], scores: Sequence[float], kept: Sequence[bool] | None = None
) -> list[float]:
    """For every k from 1 to n, the probability that the sample with the highest of k scores is correct.

    Exact: the sample of rank r (from 0) is the best in C(n - 1 - r, k - 1) of the C(n, k) subsets; kept
    samples rank before others. Ties are broken at random. `correct` holds 0, 1, or shares.
    """
    n = len(scores)
    first = np.ones(n) if kept is None else np.asarray(kept, dtype=float)
    keys = np.column_stack([first, np.asarray(scores, dtype=float)])
    _, place = np.unique(keys, axis=0, return_inverse=True)
    means = np.bincount(place, np.asarray(correct, dtype=float)) / np.bincount(place)
    real, ranked = real_of(n), means[np.sort(place)[::-1]].tolist()
    return [
        float(
            sum(value * real(comb(n - 1 - r, k - 1)) for r, value in enumerate(ranked))
            / real(comb(n, k))
        )
        for k in range(1, n + 1)
    ]


def weighted_at_k(
    answers: Sequence[int | None],
    correct: Sequence[float],
    weights: Sequence[float],
    kept: Sequence[bool] | None = None,
    seed: int = 0,
) -> list[float]:
    """For every k from 1 to n, the probability that the answer with the largest sum of weights is correct.

    `answers` holds each sample's group of equal answers, counted from 0, or None for a sample without an
    answer, which does not vote. Ties are broken at random; a vote without any answer is wrong. With all
    weights 1 it is the majority vote. The mean is over all rotations of random orders drawn from `seed`,
    at least `ORDERS` in all, so that each sample is at each place equally often. It is exact for k = 1
    and k = n.
    """
    n, groups = len(answers), 1 + max((a for a in answers if a is not None), default=0)
    votes, shares = np.zeros((n, groups)), np.zeros(groups)
    for answer in {a for a in answers if a is not None}:
        own = [i for i, a in enumerate(answers) if a == answer]
        votes[own, answer] = 1
        shares[answer] = np.mean([correct[i] for i in own])
    held = np.ones(n) if kept is None else np.asarray(kept, dtype=float)
    rng = np.random.default_rng([seed, n])
    drawn = [rng.permutation(n) for _ in range(-(-ORDERS // n))]
    orders = np.array([np.roll(order, shift) for order in drawn for shift in range(n)])
    counts = {True: votes * held[:, None], False: votes}
    won = np.zeros(n)
    for start in range(0, len(orders), block := max(1, AT_ONCE // votes.size)):
        some = orders[start : start + block]
        won += _won(some, counts, np.asarray(weights), held, shares).sum(0)
    return [float(chance) for chance in won / len(orders)]


def _won(
    orders: np.ndarray,
    counts: Mapping[bool, np.ndarray],
    weights: np.ndarray,
    held: np.ndarray,
    shares: np.ndarray,
) -> np.ndarray:
    """(orders, n): the chance that the vote of the first k samples of an order is right."""
    sums = {k: np.cumsum((v * weights[:, None])[orders], 1) for k, v in counts.items()}
    there = {k: np.cumsum(v[orders], 1) > 0 for k, v in counts.items()}
    any_held = np.cumsum(held[orders], 1)[..., None] > 0
    total = np.where(any_held, sums[True], sums[False])
    total = np.where(np.where(any_held, there[True], there[False]), total, -np.inf)
    most = total.max(-1, keepdims=True)
    wins = np.isclose(total, most, rtol=1e-12, atol=0) & np.isfinite(total)
    return (wins * shares).sum(-1) / np.maximum(1, wins.sum(-1))
