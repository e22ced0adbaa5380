"""Spending rollouts where the label is unsure, in rounds, with values that stay unbiased.

A mean over draws whose number depends on those draws is biased: at p = 0.2 a pilot of 2, then 2 more or
30 if the pilot was mixed, is pooled 0.158 on average. So the values rest on two stages. A small pilot
decides the sizes of one second stage, of at least as many fresh draws a stratum, and of at least one
wherever something leaves. W_u is the mean of the two stages' means, of weights fixed beforehand: 1/2 each,
or the second stage's alone where the pilot has no draw. Later rounds serve the label alone: a posterior
does not mind when one stopped.
"""

import numpy as np

from ctm_data.estimator.posterior import Curves, critical_of
from ctm_data.estimator.settings import LOST
from ctm_data.estimator.values import NEGLIGIBLE, branch_counts

ROUNDS = 20  # a further round spends a twentieth of the budget
STAGES_SHARE = 4  # the two stages that the values rest on take a quarter of it
ROUND_DRAWS = 300  # curves that an allocation is made from


def pilot_counts(keep_prob: np.ndarray, n: int, budget: int) -> np.ndarray:
    """The sizes of the pilot, (L,): ceil(n0 (1 - k)) where n0 (1 - k) is above 1/2, else 0.

    n0 is the largest whole number up to n / 2 for which the pilot and the smallest second stage fit into
    a quarter of the budget; at least 1.
    """
    n0 = max(1, n // 2)
    while n0 > 1 and STAGES_SHARE * _smallest(keep_prob, n0).sum() > budget:
        n0 -= 1
    return _pilot(keep_prob, n0)


def second_counts(
    curves: Curves, keep_prob: np.ndarray, pilot: np.ndarray, budget: int, resolution: float
) -> np.ndarray:
    """The sizes of the second stage, (L,): those of the pilot, at least 1 where anything leaves, and a
    round of the budget where it counts."""
    base = _at_least(keep_prob, pilot)
    there = pilot + base
    return base + further_counts(curves, keep_prob, there, budget, resolution)


def further_counts(
    curves: Curves, keep_prob: np.ndarray, there: np.ndarray, budget: int, resolution: float
) -> np.ndarray:
    """The sizes of a further round; all 0 if the budget is spent or no draw could change the label."""
    left = max(0, budget - int(there.sum()))
    return allocate(curves, keep_prob, there, min(left, max(1, budget // ROUNDS)), resolution)


def two_stages(
    pilot: np.ndarray, pilot_won: np.ndarray, second: np.ndarray, second_won: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rate of each stratum, and how many equal draws it is worth: two of (L,), 0 if none was drawn.

    The rate is the mean of the two stages' rates, or the second's alone where the pilot is empty. Which
    of the two depends on the size of the pilot, never on its outcomes, so it is unbiased.
    """
    one, two = np.maximum(pilot, 1), np.maximum(second, 1)
    alone, both = second_won / two, (pilot_won / one + second_won / two) / 2
    rate = np.where(pilot > 0, both, alone)
    return rate, np.where(pilot > 0, 4 / (1 / one + 1 / two), second)


def allocate(
    curves: Curves, keep_prob: np.ndarray, n_rollouts: np.ndarray, size: int, resolution: float
) -> np.ndarray:
    """How many of `size` further rollouts should leave at each token, (L,).

    The label hangs on values whose side of a threshold is unsure (`ambiguity`). A rollout that leaves
    at u lowers the variance of V_t, t < u, in proportion to reach(t -> u)^2 (1 - k_u)^2 W_u (1 - W_u);
    the numbers that minimise the sum of these variances, each in units of its own and weighted by how
    much the label hangs on it, are proportional to the square roots (Neyman), less what is there.
    """
    weight = np.sqrt(_gain(curves, keep_prob, resolution))
    return _fill(weight, n_rollouts, size)


def ambiguity(value: np.ndarray, resolution: float) -> np.ndarray:
    """How much the label hangs on which side of a threshold V_t is, t = 1..L: (L,).

    For the resolution, the chance that V_t is looked at, from the last value of 5% on as far as the
    critical token, times the variance of the answer; for 5% likewise, from the critical token on and at
    the last value of 5%.
    """
    after, length = value[:, 1:], value.shape[1] - 1
    token = np.arange(length)
    alive = after >= LOST
    start = np.where(alive.any(1), length - np.argmax(alive[:, ::-1], axis=1), 0)
    critical = critical_of(value, resolution)
    critical = np.where(critical < 0, length, critical)
    looked = ((token >= start[:, None]) & (token <= critical[:, None])).mean(0)
    reset = ((token >= critical[:, None]) | (token == start[:, None] - 1)).mean(0)
    zero, lost = (after < resolution).mean(0), (~alive).mean(0)
    return looked * zero * (1 - zero) + reset * lost * (1 - lost)


def _pilot(keep_prob: np.ndarray, n0: int) -> np.ndarray:
    return np.where(n0 * (1 - keep_prob) > 0.5, branch_counts(keep_prob, n0), 0)


def _at_least(keep_prob: np.ndarray, pilot: np.ndarray) -> np.ndarray:
    """The smallest second stage: one draw where anything leaves, and never less than the pilot."""
    return np.maximum(pilot, branch_counts(keep_prob, 1))


def _smallest(keep_prob: np.ndarray, n0: int) -> np.ndarray:
    pilot = _pilot(keep_prob, n0)
    return pilot + _at_least(keep_prob, pilot)


def _gain(curves: Curves, keep_prob: np.ndarray, resolution: float) -> np.ndarray:
    keep = np.where(1 - keep_prob > NEGLIGIBLE, keep_prob, 1.0)
    spread = curves.value[:, 1:].var(0)
    unsure = ambiguity(curves.value, resolution) / np.maximum(spread, 1e-12)
    noise = (curves.rate * (1 - curves.rate)).mean(0)
    reached, gain = 0.0, np.zeros(len(keep))
    # reached at u: the sum over t < u of ambiguity(t) reach(t -> u)^2, t = 0 never being a label
    for u in range(len(keep)):
        gain[u] = reached * (1 - keep[u]) ** 2 * noise[u]
        reached = reached * keep[u] ** 2 + unsure[u]
    return gain


def _fill(weight: np.ndarray, there: np.ndarray, size: int) -> np.ndarray:
    """`size` whole draws that bring `there` as close as can be to proportions of `weight`."""
    counts = np.zeros(len(weight), dtype=np.int64)
    use = np.flatnonzero(weight > 0)
    if not len(use) or size < 1:
        return counts
    ratio = there[use] / weight[use]
    order = np.argsort(ratio)
    w, n = np.cumsum(weight[use][order]), np.cumsum(there[use][order])
    level = (size + n) / w
    last = int(np.flatnonzero(level > ratio[order]).max(initial=0))
    wanted = np.maximum(level[last] * weight[use] - there[use], 0)
    wanted *= size / wanted.sum()
    whole = np.floor(wanted).astype(np.int64)
    rest = size - whole.sum()
    whole[np.argsort(whole - wanted, kind="stable")[:rest]] += 1
    counts[use] = whole
    return counts
