"""What a second run would say: runs simulated on known success rates.

Given the rate W_u at which rollouts that leave a trajectory at token u end well, every way to spend
rollouts is a few binomial draws. Rates drawn from the posterior of one run so predict how often two whole
runs give the same critical token, the label's test-retest reliability. Split halves of the one run would
measure runs of half its size, and halves of an adaptive run share their allocation.

The alternatives at a token are taken as drawn one by one. `branch` draws them systematically, which varies
less, so real runs agree a little more often than predicted.
"""

import numpy as np

from ctm_data.estimator.adaptive import ROUND_DRAWS, further_counts, pilot_counts, second_counts
from ctm_data.estimator.posterior import Curves, critical_of, draw_curves, label_of
from ctm_data.estimator.settings import LOST, RolloutSettings
from ctm_data.estimator.values import NEGLIGIBLE, branch_counts


def agree(
    keep_prob: np.ndarray,
    rate: np.ndarray,
    final: bool,
    settings: RolloutSettings,
    rng: np.random.Generator,
) -> bool:
    """Whether two simulated runs give the same critical token, or both none; `rate` is (L,)."""
    one, two = (_label(keep_prob, rate, final, settings, rng) for _ in range(2))
    return one == two


def simulate(
    keep_prob: np.ndarray,
    rate: np.ndarray,
    final: bool,
    settings: RolloutSettings,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """How many rollouts of a run leave at each token, and how many of them end well: two of (L,)."""
    if settings.adaptive:
        rounds = adaptive_rounds(keep_prob, rate, final, settings, rng)
        return sum(n for n, _ in rounds), sum(won for _, won in rounds)  # type: ignore[return-value]
    if settings.estimator == "exhaustive":
        n = _left_from_every_prefix(keep_prob, settings.n_rollouts, rng)
        return n, rng.binomial(n, rate)
    n = branch_counts(keep_prob, settings.n_rollouts)
    won = rng.binomial(n, rate)
    if settings.label_only:
        looked_at = np.arange(len(n)) >= _stop(keep_prob, n, won, final)
        n, won = n * looked_at, won * looked_at
    return n, won


def adaptive_rounds(
    keep_prob: np.ndarray,
    rate: np.ndarray,
    final: bool,
    settings: RolloutSettings,
    rng: np.random.Generator,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same by rounds of `--adaptive`: the pilot, the second stage, and those after it."""
    budget = int(settings.budget * settings.n_rollouts * len(keep_prob))
    rounds: list[tuple[np.ndarray, np.ndarray]] = []

    def make(counts: np.ndarray) -> None:
        rounds.append((counts, rng.binomial(counts, rate)))

    def there() -> np.ndarray:
        return np.sum([n for n, _ in rounds], axis=0)

    def drawn() -> Curves:
        won = np.sum([won for _, won in rounds], axis=0)
        return draw_curves(keep_prob, there(), won, final, rng, ROUND_DRAWS)

    make(pilot_counts(keep_prob, settings.n_rollouts, budget))
    make(second_counts(drawn(), keep_prob, rounds[0][0], budget, settings.resolution))
    while True:
        curves = drawn()
        tokens = critical_of(curves.value, settings.resolution)
        if np.bincount(tokens + 1).max() / len(tokens) >= settings.confidence:
            return rounds
        counts = further_counts(curves, keep_prob, there(), budget, settings.resolution)
        if not counts.any():
            return rounds
        make(counts)


def _label(
    keep_prob: np.ndarray,
    rate: np.ndarray,
    final: bool,
    settings: RolloutSettings,
    rng: np.random.Generator,
) -> int | None:
    n, won = simulate(keep_prob, rate, final, settings, rng)
    value = draw_curves(keep_prob, n, won, final, rng).value
    return label_of(critical_of(value, settings.resolution), len(keep_prob)).likeliest


def _left_from_every_prefix(keep: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """How many of N rollouts from every prefix leave at each token, having followed it so far."""
    left, following = np.zeros(len(keep), dtype=np.int64), 0
    for t, k in enumerate(keep):
        following += n
        left[t] = rng.binomial(following, 1 - k) if 1 - k > NEGLIGIBLE else 0
        following -= left[t]
    return left


def _stop(keep: np.ndarray, n: np.ndarray, won: np.ndarray, final: bool) -> int:
    """The token at which `--label-only`, coming from the right, sees a value of 5% and stops."""
    value = float(final)
    for t in np.flatnonzero(n)[::-1]:
        value = keep[t] * value + (1 - keep[t]) * won[t] / n[t]
        if value >= LOST:
            return int(t)
    return 0
