"""Temperature, then top-p: from logits to the distribution that a token is drawn from."""

import numpy as np
import torch

# So many of a row's most likely tokens are looked at, one number after the other, until its nucleus is
# among them. The whole vocabulary is sorted only for a row whose nucleus is wider still.
LOOKS = (64, 512, 4096, 16384)
# Tokens to sort and sum at a time on a CPU. A sixteenth of it stays in the cache and saves a tenth of the
# time, but makes so many small parallel operations that two threads on busy cores take six times as long.
AT_ONCE = 1 << 20


def nucleus(
    logits: torch.Tensor, temperature: float, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What can be drawn from each row of `logits` (R, V): token ids and probabilities, both (R, K).

    Most likely first, the lower id first among equals; float64; rows sum to 1; rows narrower than K end
    in zeros. The nucleus is the smallest set of most likely tokens whose mass reaches `top_p`, as
    transformers and vLLM cut it. A row does not depend on the other rows.
    """
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return best, torch.ones_like(best, dtype=torch.float64)
    probs = torch.softmax(logits.float() / temperature, -1)
    rows, vocabulary = probs.shape
    found = []
    left = torch.arange(rows, device=probs.device)
    at_least = torch.zeros_like(left)  # a lower bound on the width of each row's nucleus
    for look in (*(size for size in LOOKS if size < vocabulary), vocabulary):
        due = at_least[left] <= look
        if not bool(due.any()):
            continue
        left, looking = left[~due], left[due].sort().values
        for some in looking.split(max(1, AT_ONCE // look) if probs.is_cpu else rows):
            ids, top = _most_likely(probs if len(some) == rows else probs[some], look)
            mass = top.cumsum(-1)
            inside = top > 0  # rounding may leave all of the mass below a top_p of nearly 1
            if top_p < 1:
                inside &= mass - top < top_p
            # A token as likely as the last one seen may have an equal of a lower id that was not seen.
            last = top[:, -1:]
            wider = (inside & (top == last)).any(-1) & (look < vocabulary)
            if bool(wider.any()):
                # No token that was not seen is likelier than the last one seen.
                missing = (top_p - mass[:, -1:]) / last if top_p < 1 else vocabulary / last
                at_least[some] = (look + missing[:, 0]).clamp(look + 1, vocabulary).long()
                left = torch.cat([left, some[wider]])
                some, ids, top, mass, inside = (
                    each[~wider] for each in (some, ids, top, mass, inside)
                )
            if len(some):
                width = int(inside.sum(-1).max())
                total = torch.where(inside, mass, 0.0).amax(-1, keepdim=True)
                share = torch.where(inside, top, 0.0)[:, :width] / total
                found.append((some, ids[:, :width], share))
    return _joined(found, rows)


def _most_likely(probs: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` most likely tokens of each row of `probs` (R, V): ids and probabilities (R, count).

    Most likely first, the lower id first among equals. Where some of the tokens that are as likely as the
    last one are left out, it is not defined which.
    """
    if count < probs.shape[1]:
        top, ids = probs.topk(count, dim=-1, sorted=False)
    else:
        top, ids = probs.contiguous(), torch.arange(count, device=probs.device)
    # The bits of floats that are not negative are in the order of the floats, so one integer can hold
    # both. Sorting numbers takes less time than sorting floats with their places, most so in numpy.
    keys = ids - (top.view(torch.int32).long() << 32)
    keys = torch.from_numpy(np.sort(keys.numpy())) if keys.is_cpu else keys.sort(-1).values
    return keys & 0xFFFFFFFF, (-(keys >> 32)).int().view(torch.float32).double()


def _joined(
    found: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], rows: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts, each of them (row numbers, ids, probabilities), as one of `rows` rows, filled with zeros."""
    width = max(ids.shape[1] for _, ids, _ in found)
    all_ids = found[0][1].new_zeros((rows, width))
    all_probs = found[0][2].new_zeros((rows, width))
    for some, ids, probs in found:
        all_ids[some, : ids.shape[1]] = ids
        all_probs[some, : ids.shape[1]] = probs
    return all_ids, all_probs
