"""Figures over graded samples."""

from math import comb


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that one of k of n samples is correct, unbiased: 1 - C(n - correct, k) / C(n, k).

    Source: arXiv 2107.03374, eq. 1. Raises ValueError unless 0 <= correct <= n and 1 <= k <= n.
    """
    if not (0 <= correct <= n and 1 <= k <= n):
        raise ValueError(
            f"pass@k wants 0 <= correct <= n and 1 <= k <= n, not {correct=} {n=} {k=}"
        )
    return 1 - comb(n - correct, k) / comb(n, k)
