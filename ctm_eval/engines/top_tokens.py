"""The nucleus of a distribution of which only the most likely tokens are known."""

import numpy as np

from ctm_eval.engines.base import Nucleus, Sampling


def nucleus_of_top(
    ids: np.ndarray, logprobs: np.ndarray, vocabulary: int, sampling: Sampling
) -> Nucleus | None:
    """What can be drawn, from the K most likely tokens `ids` (K,) and their log-probabilities (K,) at
    temperature 1; None if more of the `vocabulary` has to be known.

    The order of tokens does not matter. What the others weigh has two bounds, equal at temperature 1, and
    the nucleus has to end at the same token for both: it is exact but for the rounding of these numbers.
    """
    order = np.lexsort((ids, -logprobs))
    ids, logprobs = ids[order], logprobs[order].astype(np.float64)
    if sampling.temperature == 0:
        return Nucleus(ids[:1], np.ones(1))
    power = 1 / sampling.temperature
    weights = np.exp(power * (logprobs - logprobs[0]))
    sums = weights.cumsum()
    rest = _rest(logprobs, vocabulary - len(ids), power)
    if sampling.top_p == 1:
        kept = weights if rest[1] == 0 else weights[:0]
    else:
        # 1e-12: sums of floating point that reach the goal exactly may fall short of it.
        few, many = (
            int(np.searchsorted(sums, sampling.top_p * (sums[-1] + more) * (1 - 1e-12))) + 1
            for more in rest
        )
        kept = weights[:few] if few == many and few <= len(ids) else weights[:0]
    return Nucleus(ids[: len(kept)], kept / kept.sum()) if len(kept) else None


def _rest(logprobs: np.ndarray, count: int, power: float) -> tuple[float, float]:
    """The least and the most that `count` tokens, none likelier than the last of these, may weigh to this
    power, relative to the first one."""
    mass = 1 - float(np.exp(logprobs).sum())
    if count <= 0 or mass <= 0:
        return 0.0, 0.0
    few = mass * float(np.exp((power - 1) * logprobs[-1] - power * logprobs[0]))
    all_alike = count * float(np.exp(power * (np.log(mass / count) - logprobs[0])))
    return min(few, all_alike), max(few, all_alike)  # convex above a power of 1, concave below
