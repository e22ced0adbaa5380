"""Temperature, then top-p: from logits to the distribution that a token is drawn from."""

import numpy as np
import torch

# So many of a row's most likely tokens are looked at, one number after the other, until its nucleus is
# among them. The whole vocabulary is sorted only for a row whose nucleus is wider still.
LOOKS = (64, 512, 4096, 16384)
CACHED = 1 << 16  # tokens to sort and sum at a time on a CPU, so that they stay in its cache


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
    parts = []
    left = torch.arange(rows, device=probs.device)
    at_least = torch.zeros_like(left)  # a lower bound on the width of each row's nucleus
    for look in (*(size for size in LOOKS if size < vocabulary), vocabulary):
        due = at_least[left] <= look
        waiting = [left[~due]]
        for some in left[due].split(max(1, CACHED // look) if probs.is_cpu else rows):
            ids, top = _most_likely(probs if len(some) == rows else probs[some], look)
            mass = top.cumsum(-1)
            inside = mass - top < top_p if top_p < 1 else top > 0
            if look < vocabulary:
                last = top[:, -1]
                # A token as likely as the last one seen may have an equal of a lower id, not seen.
                wider = (inside & (top == last[:, None])).any(-1)
                # No token that was not seen is likelier than the last one seen.
                missing = (
                    (top_p - mass[:, -1]) / last if top_p < 1 else torch.full_like(last, vocabulary)
                )
                at_least[some] = (look + missing).clamp(look + 1, vocabulary).long()
                waiting.append(some[wider])
                if bool(wider.any()):
                    some, ids, top = some[~wider], ids[~wider], top[~wider]
                    mass, inside = mass[~wider], inside[~wider]
            if len(some):
                width = int(inside.sum(-1).max())
                total = torch.where(inside, mass, 0.0).amax(-1, keepdim=True)
                share = torch.where(inside, top, 0.0)[:, :width] / total
                parts.append((some, ids[:, :width], share))
        left = torch.cat(waiting)
    width = max((ids.shape[1] for _, ids, _ in parts), default=0)
    all_ids = torch.zeros((rows, width), dtype=torch.long, device=probs.device)
    shares = torch.zeros((rows, width), dtype=torch.float64, device=probs.device)
    for some, ids, share in parts:
        all_ids[some, : ids.shape[1]] = ids
        shares[some, : ids.shape[1]] = share
    return all_ids, shares


def _most_likely(probs: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `count` most likely tokens of each row of `probs` (R, V): ids (R, count) and probabilities.

    Most likely first, the lower id first among equals. Which of the tokens that are as likely as the
    last one are taken is not defined, unless all are.
    """
    if count < probs.shape[1]:
        top, ids = probs.topk(count, dim=-1, sorted=False)
    else:
        top, ids = probs.contiguous(), torch.arange(count, device=probs.device)
    # The bits of floats that are not negative are ordered as the floats are. One integer holds both,
    # and sorting numbers takes half the time of sorting them with their places; numpy's is vectorised.
    keys = ids - (top.view(torch.int32).long() << 32)
    keys = torch.from_numpy(np.sort(keys.numpy())) if keys.is_cpu else keys.sort(-1).values
    return keys & 0xFFFFFFFF, (-(keys >> 32)).int().view(torch.float32).double()
