"""Metrics of graded samples: pass@k, avg, maj@k, their intervals, and a paired test of two runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that one of k of n samples is correct, unbiased: 1 - C(n - correct, k) / C(n, k).

    Source: arXiv 2107.03374, eq. 1. Raises ValueError unless 0 <= correct <= n and 1 <= k <= n.
    """
    if not (0 <= correct <= n and 1 <= k <= n):
        raise ValueError(
            f"pass@k needs 0 <= correct <= n and 1 <= k <= n, not {correct=} {n=} {k=}"
        )
    return 1 - comb(n - correct, k) / comb(n, k)


def maj_at_k(groups: Sequence[tuple[int, float]], silent: int = 0) -> list[float]:
    """For every k from 1 to n, the probability that the majority vote of k of n samples is right.

    `groups` holds (votes, share of them graded correct) for each distinct answer; `silent` is the number
    of samples without an answer, which do not vote. The result is the exact mean over all subsets of k
    samples. **A tie is broken at random** between the answers with the most votes; a subset without any
    answer is wrong.
    """
    n = sum(votes for votes, _ in groups) + silent
    real = real_of(n)
    wins = np.zeros(n + 1, dtype=real)
    for i, (votes, share) in enumerate(groups):
        if share:
            others = [other for j, (other, _) in enumerate(groups) if j != i]
            for v in range(1, votes + 1):
                wins += share * real(comb(votes, v)) * np.roll(_beaten(others, silent, v, n), v)
    subsets = np.array([comb(n, k) for k in range(n + 1)], dtype=real)
    return (wins / subsets)[1:].astype(float).tolist()


def real_of(n: int) -> type[np.floating[Any]]:
    """The type of numbers for subsets of n samples: C(1030, 515) is beyond a double."""
    return np.float64 if n <= 512 else np.longdouble


def _beaten(others: Sequence[int], silent: int, v: int, n: int) -> np.ndarray:
    """(n + 1,): ways to draw j samples of the other answers so that none has more than v votes, each
    divided by the number of answers in the tie.

    A generating function in the number of samples; row t has the ways in which t others have v votes too.
    """
    below = sum(other for other in others if other < v) + silent
    real = real_of(n)
    ways = np.zeros((1, n + 1), dtype=real)
    ways[0, : below + 1] = [comb(below, j) for j in range(below + 1)]
    for other in (other for other in others if other >= v):
        grown = np.zeros((len(ways) + 1, n + 1), dtype=real)
        for j in range(v):
            grown[:-1, j:] += real(comb(other, j)) * ways[:, : n + 1 - j]
        grown[1:, v:] += real(comb(other, v)) * ways[:, : n + 1 - v]
        ways = grown
    ways[:, n + 1 - v :] = (
        0  # together with the v own votes, these exceed n samples and would wrap around
    )
    return (ways / np.arange(1, len(ways) + 1)[:, None]).sum(0)


@dataclass(frozen=True)
class Estimate:
    """A mean over problems with its standard error and its 95% interval, all between 0 and 1."""

    value: float
    stderr: float
    low: float
    high: float


def clustered(values: Sequence[float] | np.ndarray, samples: int) -> Estimate:
    """The mean of per-problem values in [0, 1], with the problems treated as a random sample.

    A problem is a cluster: it counts once, however many samples it has. The interval is Wilson's, at the
    effective number of trials that the variance between problems implies (arXiv 2411.00640 for clusters,
    Kish for the number), with Student's quantile, so it has a positive width at 0 and 1 too. `samples`
    bounds the number of independent values in one problem: n // k for pass@k.
    """
    m, mean = len(values), float(np.mean(values))
    if m == 1:
        return Estimate(mean, float("nan"), 0.0, 1.0)
    return _wilson(mean, float(np.var(values, ddof=1)) / m, m, m * max(1, samples))


def pooled(hits: Sequence[float], counts: Sequence[int]) -> Estimate:
    """The share of hits among all samples, from each problem's hits (0 to its count) and number of samples.

    As `clustered`, but a sample counts once, not a problem. The variance is that of the ratio of two sums,
    linearised.
    """
    m, total = len(counts), sum(counts)
    mean = float(sum(hits)) / total
    if m == 1:
        return Estimate(mean, float("nan"), 0.0, 1.0)
    off = np.asarray(hits) - mean * np.asarray(counts)
    return _wilson(mean, float(np.var(off, ddof=1)) * m / total**2, m, total)


def _wilson(mean: float, variance: float, m: int, most: int) -> Estimate:
    """Wilson's interval at the number of trials, `most` or fewer, that the variance of a mean implies."""
    from scipy.stats import t

    spread = mean * (1 - mean)
    trials = float(m)
    if variance > 0 and spread > 0:
        trials = min(spread / variance, most)
    z2 = float(t.ppf(0.975, m - 1)) ** 2
    centre = (mean + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * spread / trials + z2**2 / (4 * trials**2)) / (1 + z2 / trials)
    low, high = min(mean, max(0.0, centre - half)), max(mean, min(1.0, centre + half))
    return Estimate(mean, variance**0.5, float(low), float(high))


@dataclass(frozen=True)
class Comparison:
    """A paired comparison: second minus first, over the problems that both have.

    `p` is from the exact two-sided sign-flip test: of all 2^m ways to swap the two runs' results problem by
    problem, the share that gives a difference at least as large. With one sample per problem, this is
    McNemar's test.
    """

    problems: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    better: int
    worse: int
    p: float


def paired(first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]) -> Comparison:
    """Compares two runs' (correct, samples) on the same problems in the same order.

    Raises ValueError without problems, or if the numbers of problems differ.
    """
    from scipy.stats import t

    if len(first) != len(second) or not first:
        raise ValueError(f"paired wants the same problems twice, not {len(first)}, {len(second)}")
    one, two = (np.array([c / n for c, n in run]) for run in (first, second))
    difference, m = two - one, len(one)
    mean = float(difference.mean())
    half = float("inf")
    if m > 1:
        half = float(t.ppf(0.975, m - 1) * difference.std(ddof=1) / m**0.5)
    scale = int(np.lcm.reduce([n for run in (first, second) for _, n in run]))
    steps = [round(d * scale) for d in difference]
    return Comparison(
        problems=m,
        first=float(one.mean()),
        second=float(two.mean()),
        difference=mean,
        low=max(-1.0, mean - half),
        high=min(1.0, mean + half),
        better=sum(step > 0 for step in steps),
        worse=sum(step < 0 for step in steps),
        p=sign_flip([step for step in steps if step]),
    )


def sign_flip(steps: Sequence[int]) -> float:
    """The share of all choices of signs for which |sum of ±steps| is at least |sum of steps|, to 1e-12.

    The characteristic function of ±size is cos(size t), that of the sum their product; its inverse Fourier
    transform is the distribution of the sum.
    """
    from scipy.fft import irfft, next_fast_len

    if not steps:
        return 1.0
    sizes = np.abs(np.asarray(steps))
    sizes //= np.gcd.reduce(sizes)
    observed = abs(int(np.sum(np.sign(steps) * sizes)))
    if not observed:
        return 1.0
    length = next_fast_len(2 * int(sizes.sum()) + 1, real=True)
    turns = np.arange(length // 2 + 1) / length
    wave = np.ones(len(turns))
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        wave *= np.cos(2 * np.pi * (size * turns % 1)) ** count
    chance = irfft(wave, length)  # of the sums 0, 1, ... and at the end ..., -2, -1
    return float(np.clip(chance[observed : length - observed + 1].sum(), 0.0, 1.0))
