"""The probability of still ending well, after every token of a trajectory.

V_t = P(correct | the first t tokens, then the rollout policy), t = 0..L; V_L is known. With the
keep probability k_t of the t-th token and the success rate W_t when another token is drawn there,

    V_{t-1} = k_t V_t + (1 - k_t) W_t.

The `branch` estimator draws m_t = ceil(N (1 - k_t)) rollouts that leave at t and folds this from the
right: unbiased, and for every t at once of no larger variance than N rollouts from t, because a
rollout from t is a draw over the strata 'leaves at u' and every stratum gets at least its share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEGLIGIBLE = (
    1e-6  # a token this certain is taken as certain; the values move by less than L times it
)


@dataclass(frozen=True)
class Curve:
    """Values of a trajectory of L tokens, each array of length L + 1: entry t is after t tokens.

    NaN where `--label-only` did not look. `low` and `high` bound the value with 95% coverage.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def branch_counts(keep_prob: Sequence[float] | np.ndarray, n: int) -> np.ndarray:
    """How many rollouts leave at each token: ceil(n (1 - k)), shape (L,)."""
    leave = 1 - np.asarray(keep_prob, dtype=float)
    # A product that is whole but for rounding (64 * 0.25) must not cost one rollout more.
    return np.where(leave > NEGLIGIBLE, np.ceil(n * leave - 1e-9), 0).astype(np.int64)


def systematic(probs: np.ndarray, count: int, offset: float) -> np.ndarray:
    """Draws `count` indices from `probs` (K,) by systematic sampling; `offset` is uniform in [0, 1).

    Index i is drawn count * probs[i] times, rounded up or down: on average exactly that often.
    """
    points = (np.arange(count) + offset) / count
    ends = np.cumsum(probs / probs.sum())
    return np.minimum(np.searchsorted(ends, points, side="right"), len(probs) - 1)


def branch_curve(
    keep_prob: Sequence[float] | np.ndarray,
    n_rollouts: Sequence[float] | np.ndarray,
    n_correct: Sequence[float] | np.ndarray,
    final: bool,
    seen_from: int = 0,
) -> Curve:
    """Folds rollouts that left at each token (three sequences of length L) into values.

    Numbers of rollouts need not be whole: they may be what draws of unequal weights are worth. `final`
    is whether the whole trajectory is correct. Values before `seen_from` are NaN.
    """
    length = len(keep_prob)
    value = np.full(length + 1, np.nan)
    stay, weight2 = np.ones(length + 1), np.zeros(length + 1)
    value[length] = float(final)
    for t in range(length, seen_from, -1):
        k, m = float(keep_prob[t - 1]), float(n_rollouts[t - 1])
        if m == 0:
            value[t - 1], stay[t - 1], weight2[t - 1] = value[t], stay[t], weight2[t]
            continue
        value[t - 1] = k * value[t] + (1 - k) * (n_correct[t - 1] / m)
        stay[t - 1] = k * stay[t]
        weight2[t - 1] = k**2 * weight2[t] + (1 - k) ** 2 / m
    leave = 1 - stay
    # Of the mass that leaves, a share `rate` succeeds; Kish's effective number of draws behind it.
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = np.clip((value - stay * float(final)) / leave, 0, 1)
        draws = leave**2 / weight2
    low, high = beta_interval(rate, draws)
    known = stay * float(final)
    low = np.where(weight2 > 0, known + leave * low, value)
    high = np.where(weight2 > 0, known + leave * high, value)
    return Curve(value, low, high)


def exhaustive_curve(n: int, n_correct: Sequence[int], final: bool) -> Curve:
    """Values from `n` rollouts at each of the L prefixes of 0..L-1 tokens (`n_correct`, length L)."""
    rate = np.asarray(n_correct, dtype=float) / n
    low, high = beta_interval(rate, np.full(len(rate), float(n)))
    end = float(final)
    return Curve(np.append(rate, end), np.append(low, end), np.append(high, end))


def beta_interval(rate: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95% interval of a Beta(1/2, 1/2) prior after `draws` draws of which a share `rate` won.

    Widened to hold `rate` itself: 0 of n has a width and keeps 0, n of n keeps 1.
    """
    from scipy.special import (
        betaincinv,
    )  # scipy.stats has the same, and takes half a second to import

    won, lost = rate * draws, (1 - rate) * draws
    low, high = betaincinv(won + 0.5, lost + 0.5, [[0.025], [0.975]])
    return np.minimum(low, rate), np.maximum(high, rate)
