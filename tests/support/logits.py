"""Logits of every kind that a sampler has to live with."""

import torch

KINDS = {
    "random": lambda noise: 3 * noise,
    "peaky": lambda noise: 30 * noise,
    "flat": lambda noise: 0.01 * noise,
    "equal": lambda noise: 0 * noise,
    "tied": lambda noise: noise.round(),
    "bfloat16": lambda noise: (3 * noise).bfloat16(),
    "masked": lambda noise: noise.masked_fill(noise < noise.amax(-1, keepdim=True) - 2, -torch.inf),
    # Rows of every width, so that each of them stops after a look of its own.
    "mixed": lambda noise: noise * torch.logspace(1.5, -2, len(noise))[:, None],
}


def logits_of(kind, rows, vocabulary, seed):
    """Logits (rows, vocabulary) of a kind, drawn from a seed."""
    noise = torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))
    return KINDS[kind](noise)
