"""Contrastive estimation: how much more a model of right solutions likes a token than one of wrong ones."""

import torch


def ce_scores(
    positive_logits: torch.Tensor,
    negative_logits: torch.Tensor,
    token_ids: torch.Tensor,
    beta: float = 1.0,
    plausibility: float = 0.0,
) -> torch.Tensor:
    """The score s_t in [0, 1] of every token, float32, shape (T,); low marks a critical token.

    log s_t = (1 + beta) log p+(y_t) - beta log p-(y_t) - log Z, with Z over the vocabulary. The logits
    (T, V) are those of the positive and the negative model at the position that predicts token t;
    `token_ids` is (T,). `plausibility` > 0 keeps only tokens with p+ >= plausibility * max p+ in the
    vocabulary, and gives those outside a score of 0; the paper uses none.
    Source: arXiv 2411.19943, eq. 1. Raises ValueError if the shapes do not fit.
    """
    if positive_logits.shape != negative_logits.shape or len(token_ids) != len(positive_logits):
        shapes = [tuple(t.shape) for t in (positive_logits, negative_logits, token_ids)]
        raise ValueError(f"two (T, V) tensors and T token ids are expected, not {shapes}")
    positive = positive_logits.float().log_softmax(-1)
    contrast = (1 + beta) * positive - beta * negative_logits.float().log_softmax(-1)
    if plausibility > 0:
        floor = positive.max(-1, keepdim=True).values + torch.log(torch.tensor(plausibility))
        contrast = contrast.masked_fill(positive < floor, -torch.inf)
    return contrast.softmax(-1).gather(-1, token_ids[:, None])[:, 0]
