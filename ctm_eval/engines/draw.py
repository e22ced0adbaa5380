"""From logits to drawn tokens: temperature, top-p, and one random number for each request.

The nucleus is a set, so it needs a threshold and not an order. Masses are whole numbers of 2^-52: their
sums are exact in any order, so that a row draws the same whatever is beside it, on any device.
"""

import numpy as np
import torch

AT_ONCE = 1 << 20  # probabilities looked at together
UNIT = 2.0**52
LOOK = 11  # bits of a probability that are told apart at once


def draw(
    logits: torch.Tensor,
    temperature: float,
    top_p: float,
    rows: np.ndarray,
    uniforms: np.ndarray,
) -> np.ndarray:
    """A token (N,) for each request: from row `rows[i]` (N,) of `logits` (R, V), by its number in [0, 1).

    The tokens of a row's nucleus divide [0, 1) in the order of their ids. The nucleus is the smallest set
    of most likely tokens whose mass reaches `top_p`, the lower id first among equals, as transformers and
    vLLM cut it. Temperature 0 takes the most likely token.
    """
    if temperature == 0:
        return logits.argmax(-1).cpu().numpy()[rows]
    tokens = np.empty(len(rows), dtype=np.int64)
    size = max(1, AT_ONCE // logits.shape[1])
    for start in range(0, len(logits), size):
        here = np.flatnonzero((rows >= start) & (rows < start + size))
        if len(here):
            some = logits[start : start + size].float()
            probs = torch.softmax(some if temperature == 1 else some / temperature, -1)
            row = torch.from_numpy(rows[here] - start).to(probs.device)
            number = torch.from_numpy(uniforms[here]).to(probs.device)
            tokens[here] = _drawn(probs, top_p, row, number).cpu().numpy()
    return tokens


def _drawn(
    probs: torch.Tensor, top_p: float, row: torch.Tensor, number: torch.Tensor
) -> torch.Tensor:
    """Tokens (N,) from `probs` (R, V)."""
    count, vocabulary = probs.shape
    flat = probs.reshape(-1)
    if top_p < 1:
        places = inside(probs, top_p)
        mass = _mass(flat[places])
        before = torch.searchsorted(places, vocabulary * torch.arange(count, device=flat.device))
    else:
        places, mass = None, _mass(flat)
        before = vocabulary * torch.arange(count, device=flat.device)
    ends = mass.long().cumsum(0)
    zero = ends.new_zeros(1)
    begin = torch.cat([zero, ends])[before]
    total = torch.cat([begin[1:], ends[-1:]]) - begin
    # A number below 1 times a total of at most 2^53 is rounded to at most the total.
    share = torch.minimum((number * total[row]).long(), total[row] - 1)
    found = torch.searchsorted(ends, begin[row] + share, right=True)
    return (found if places is None else places[found]) % vocabulary


def inside(probs: torch.Tensor, top_p: float) -> torch.Tensor:
    """The nuclei of `probs` (R, V), for `top_p` below 1: places in the flat tensor, in order."""
    count, vocabulary = probs.shape
    flat = probs.reshape(-1)
    # All tokens below this together have less than 1 - top_p; the sum of a softmax is 1 up to 1e-6.
    places = _places(flat > max(0.0, 1 - top_p - 1e-5) / vocabulary)
    chosen = flat[places]
    bits = chosen.view(torch.int32)  # in the order of the floats, as none is negative
    row = torch.div(places, vocabulary, rounding_mode="floor")
    mass, goal = _mass(chosen), top_p * UNIT
    above = torch.zeros(count, dtype=torch.float64, device=flat.device)
    low = bits.min()
    shift = max(0, int(bits.max() - low).bit_length() - LOOK)
    ranges = 1 << LOOK
    kept = torch.zeros_like(row, dtype=torch.bool)
    at = torch.arange(len(row), device=flat.device)  # those that are not decided yet
    while True:
        # The mass of each range of probabilities, from the greatest down, until the goal is reached.
        order = (ranges - 1 - (((bits - low) >> shift) & (ranges - 1))).long()
        sums = torch.bincount(row * ranges + order, weights=mass, minlength=count * ranges)
        sums = sums.reshape(count, ranges)
        upto = above[:, None] + sums.cumsum(-1)
        edge = (upto < goal).sum(-1).clamp_max(ranges - 1)
        above = (upto - sums).gather(1, edge[:, None])[:, 0]
        beyond = order - edge[row]
        kept[at[_places(beyond < 0)]] = True
        left = _places(beyond == 0)
        at, row, bits, mass = at[left], row[left], bits[left], mass[left]
        if shift == 0:
            break
        shift = max(0, shift - LOOK)
    # All that are left in a row are equal; as many are taken as the goal needs, the lower id first.
    first = torch.searchsorted(row, torch.arange(count, device=flat.device))
    rank = torch.arange(len(at), device=flat.device) - first[row]
    kept[at[above[row] + rank * mass < goal]] = True
    return places[_places(kept)]


def _places(chosen: torch.Tensor) -> torch.Tensor:
    if chosen.is_cpu:  # six times as fast as torch
        return torch.from_numpy(np.flatnonzero(chosen.numpy()))
    return chosen.nonzero()[:, 0]


def _mass(probs: torch.Tensor) -> torch.Tensor:
    """Whole numbers, as float64: up to 2^53 their sums are exact too."""
    return (probs.double() * UNIT).floor_()
