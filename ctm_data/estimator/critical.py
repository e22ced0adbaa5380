"""Which tokens of a value curve are marked, under the rules of the literature.

All take `value` of length L + 1 (entry t: after t tokens) and return indices into the L tokens:
token i is the step from value[i] to value[i + 1].
"""

import numpy as np

from ctm_data.estimator.settings import LOST, Rule
from ctm_data.estimator.values import Curve


def mark(rule: Rule, curve: Curve, n: int, resolution: float = 0.0) -> list[int]:
    """The tokens that `rule` marks; `n` is the number of rollouts behind each value, and a value below
    `resolution` counts as 0."""
    if rule == "critical":
        token = critical(curve.value, resolution)
        return [] if token is None else [token]
    return pivotal(curve.value) if rule == "pivotal" else cliff(curve.value, n)


def critical(value: np.ndarray, resolution: float = 0.0) -> int | None:
    """The first token with value 0 after which every later value is below 5%.

    A value below `resolution` counts as 0; 0 always does.
    A value of 5% or more resets the search. Unseen values (NaN) lie left of what was looked at.
    Source: arXiv 2411.19943, section 2.
    """
    after = value[1:]
    if np.isnan(after).all() or after[-1] >= LOST:
        return None
    alive = np.flatnonzero(~(after < LOST))  # NaN counts as alive: nothing there was looked at
    start = alive[-1] + 1 if len(alive) else 0
    zeros = np.flatnonzero((after[start:] == 0) | (after[start:] < resolution))
    return int(start + zeros[0]) if len(zeros) else None


def pivotal(value: np.ndarray, threshold: float = 0.2) -> list[int]:
    """Tokens that move the value by `threshold` or more, either way (Phi-4, arXiv 2412.08905)."""
    return [int(i) for i in np.flatnonzero(np.abs(np.diff(value)) >= threshold)]


def cliff(value: np.ndarray, n: int) -> list[int]:
    """Tokens where the value drops by more than 0.1 + 1.645 standard errors (arXiv 2606.25524)."""
    variance = value * (1 - value) / n
    error = np.sqrt(variance[:-1] + variance[1:])
    return [int(i) for i in np.flatnonzero(value[:-1] - value[1:] > 0.1 + 1.645 * error)]
