"""What the rollouts of a trajectory say about its critical token: curves drawn from one posterior.

Every rollout leaves the trajectory at one token, or not at all, and whether it ends well is a draw of
that token's success rate W_u; this holds for the rollouts of `branch` and of `exhaustive` alike. The
rates are shrunk together by a hidden Markov model along the trajectory:

    level_u     one of LEVELS; it stays, moves to a neighbour (a creep), or jumps anywhere (a cliff)
    W_u         ~ Beta(a level_u, a (1 - level_u))
    right_u     ~ Binomial(n_u, W_u)

How often the level moves and the concentration a are learned from the trajectory, over a grid; so the
posterior is exact but for the grid, and is sampled without a Markov chain Monte Carlo: forwards, then
backwards. A drawn curve is the recursion V_{t-1} = k_t V_t + (1 - k_t) W_t on drawn rates.

No trajectory follows this model to the letter, so every rollout counts for TEMPERING of one (a tempered
posterior: Bissiri, Holmes and Walker, 2016, arXiv 1306.6430).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctm_data.estimator.settings import LOST
from ctm_data.estimator.values import NEGLIGIBLE

LEVELS = np.array(
    [3e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.018, 0.03, 0.05, 0.08, 0.12, 0.18, 0.26, 0.36, 0.48, 0.6,
     0.72, 0.83, 0.92, 0.98]
)  # fmt: skip
CONCENTRATIONS = np.array([0.3, 1.0, 3.0, 10.0, 50.0])
MOVES = ((0.03, 0.003), (0.15, 0.01), (0.4, 0.03))  # (to a neighbour, anywhere), a token
TEMPERING = 0.9
CREDIBLE = 0.9  # probability that the smallest run of tokens holds
DRAWS = 1000


@dataclass(frozen=True)
class Curves:
    """Drawn curves of a trajectory of L tokens: `value` (S, L + 1), and their rates `rate` (S, L)."""

    value: np.ndarray
    rate: np.ndarray


@dataclass(frozen=True)
class Label:
    """What is known of the critical token: its probability at every token (L,), the likeliest (None:
    most likely there is none), and the ends of the smallest run that holds CREDIBLE (None: no run
    does, because there may be none)."""

    prob: np.ndarray
    likeliest: int | None
    low: int | None
    high: int | None


def draw_curves(
    keep_prob: Sequence[float] | np.ndarray,
    n_rollouts: Sequence[int] | np.ndarray,
    n_correct: Sequence[int] | np.ndarray,
    final: bool,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> Curves:
    """Draws curves given the rollouts that left at each token (three sequences of length L)."""
    keep = np.asarray(keep_prob, dtype=float)
    leaves = np.flatnonzero(1 - keep > NEGLIGIBLE)
    rate = np.zeros((draws, len(keep)))
    if len(leaves):
        n, won = np.asarray(n_rollouts)[leaves], np.asarray(n_correct)[leaves]
        rate[:, leaves] = _draw_rates(n, won, rng, draws)
    value = np.empty((len(keep) + 1, draws))
    value[-1] = float(final)
    for t in range(len(keep) - 1, -1, -1):
        k = keep[t] if 1 - keep[t] > NEGLIGIBLE else 1.0
        value[t] = k * value[t + 1] + (1 - k) * rate[:, t]
    return Curves(value.T, rate)


def critical_of(value: np.ndarray, resolution: float) -> np.ndarray:
    """The critical token of each curve (S, L + 1), -1 where there is none. See `critical`."""
    after = value[:, 1:]
    length = after.shape[1]
    if not length:
        return np.full(len(value), -1)
    alive = after >= LOST
    start = np.where(alive.any(1), length - np.argmax(alive[:, ::-1], axis=1), 0)
    zero = ((after < resolution) | (after == 0)) & (np.arange(length) >= start[:, None])
    return np.where(zero.any(1), np.argmax(zero, axis=1), -1)


def label_of(tokens: np.ndarray, length: int) -> Label:
    """The label that drawn critical tokens (S,), -1 for none, amount to."""
    counts = np.bincount(tokens + 1, minlength=length + 1)
    prob = counts[1:] / len(tokens)
    likeliest = int(np.argmax(counts)) - 1
    low, high = _smallest_run(counts[1:], int(np.ceil(CREDIBLE * len(tokens) - 1e-9)))
    return Label(prob, likeliest if likeliest >= 0 else None, low, high)


def _smallest_run(counts: np.ndarray, needed: int) -> tuple[int | None, int | None]:
    """The first of the shortest runs (both ends included) whose counts add up to `needed`."""
    sums = np.concatenate([[0], np.cumsum(counts)])
    ends = np.searchsorted(sums, sums[:-1] + needed)  # first end whose sum is enough
    fits = ends < len(sums)
    if not fits.any():
        return None, None
    lengths = np.where(fits, ends - np.arange(len(counts)), len(sums))
    low = int(np.argmin(lengths))
    return low, int(ends[low]) - 1


def _draw_rates(n: np.ndarray, won: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Rates of the strata (S, M) given `won` of `n` draws of each, in the trajectory's order."""
    n, won = TEMPERING * n, TEMPERING * won
    emission = _emission(n, won)  # (A, M, G)
    hyper, filtered, moves = _filter(emission)
    drawn, own = np.unique(rng.choice(len(hyper), size=draws, p=hyper), return_inverse=True)
    concentration, move = np.divmod(drawn, len(MOVES))
    levels = _smooth(filtered[:, concentration, move], moves[move], own, rng)
    a, level = CONCENTRATIONS[concentration][own, None], LEVELS[levels]
    return rng.beta(a * level + won, a * (1 - level) + (n - won))


def _emission(n: np.ndarray, won: np.ndarray) -> np.ndarray:
    """log P(won_u | n_u, a, level), the beta-binomial without its constant: (A, M, G)."""
    from scipy.special import betaln

    a, level = CONCENTRATIONS[:, None, None], LEVELS[None, None, :]
    w, lost = won[None, :, None], (n - won)[None, :, None]
    high, low = a * level, a * (1 - level)
    return np.asarray(betaln(high + w, low + lost) - betaln(high, low))


def _transitions() -> np.ndarray:
    """P(next level | level) for each of MOVES: (H, G, G)."""
    g = len(LEVELS)
    near = np.eye(g, k=1) + np.eye(g, k=-1)
    near /= near.sum(1, keepdims=True)
    return np.array(
        [(1 - near_ - far) * np.eye(g) + near_ * near + far / g for near_, far in MOVES]
    )


def _filter(emission: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The forward pass: P(a, moves | all), (A * H,); P(level_u | up to u), (M, A, H, G); transitions."""
    a, m, g = emission.shape
    moves = _transitions()
    peak = emission.max(2, keepdims=True)
    like = np.exp(emission - peak)
    now = np.full((a, len(MOVES), g), 1 / g)
    evidence = np.zeros((a, len(MOVES))) + peak.sum(axis=(1, 2))[:, None]
    filtered = np.empty((m, a, len(MOVES), g))
    for u in range(m):
        if u:
            now = np.einsum("ahg,hgf->ahf", now, moves)
        now = now * like[:, u, None, :]
        total = now.sum(2, keepdims=True)
        now = now / total
        evidence += np.log(total[..., 0])
        filtered[u] = now
    evidence -= evidence.max()
    hyper = np.exp(evidence).ravel()
    return hyper / hyper.sum(), filtered, moves


def _smooth(
    filtered: np.ndarray, moves: np.ndarray, own: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Levels (S, M) drawn backwards, draw s under combination own[s] of concentration and moves.

    `filtered` is (M, C, G), `moves` (C, G, G). P(level_u | level_{u+1}, combination) is one of C G
    distributions; end to end, the distribution functions of all of them are one sorted array, so that
    every draw is one search.
    """
    m, _, g = filtered.shape
    chance = rng.random((m, len(own)))
    levels = np.empty((m, len(own)), dtype=np.int64)
    back = moves.transpose(0, 2, 1)  # (C, next, level)
    for u in range(m - 1, -1, -1):
        if u == m - 1:
            weight, row = filtered[u], own
        else:
            weight = (filtered[u][:, None, :] * back).reshape(-1, g)
            row = own * g + levels[u + 1]
        ends = np.cumsum(weight, axis=1)
        ends = ends / ends[:, -1:] + np.arange(len(ends))[:, None]
        levels[u] = np.searchsorted(ends.ravel(), row + chance[u]) - row * g
    return levels.T
