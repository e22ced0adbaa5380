"""Temperature, then top-p: from logits to the distribution that a token is drawn from."""

import torch

PEEK = 64  # most nuclei are narrower than this, and looking at so few tokens spares a full sort


def nucleus(
    logits: torch.Tensor, temperature: float, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What can be drawn from each row of `logits` (R, V): token ids and probabilities, both (R, K).

    Most likely first; float64; rows sum to 1; rows narrower than K end in zeros. The nucleus is the
    smallest set of most likely tokens whose mass reaches `top_p`, as transformers and vLLM cut it.
    """
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return best, torch.ones_like(best, dtype=torch.float64)
    probs = torch.softmax(logits.float() / temperature, -1)
    peek = min(PEEK, probs.shape[-1])
    top, ids = probs.topk(peek, dim=-1)
    if peek < probs.shape[-1] and bool((top.double().sum(-1) < top_p).any() or top_p == 1):
        top, ids = torch.sort(probs, dim=-1, descending=True, stable=True)
    top = top.double()
    before = top.cumsum(-1) - top
    top = torch.where(before < top_p, top, 0.0) if top_p < 1 else top
    width = int((top > 0).sum(-1).max())
    top, ids = top[:, :width], ids[:, :width]
    return ids, top / top.sum(-1, keepdim=True)
