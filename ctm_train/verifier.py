"""Verifiers with a scalar head: outcome (ORM) and process (PRM) reward models.

The model is transformers' token classifier with one label, so it is saved and loaded like any other.
"""

from typing import Any

import torch
from transformers import Trainer

from ctm_train.losses import verifier_loss

NO_TARGET = -1.0


class VerifierCollator:
    """Pads prompts and completions on the right; `targets` are negative where there is none."""

    def __init__(self, pad_token_id: int, max_length: int) -> None:
        self._pad, self._max_length = pad_token_id, max_length

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids = [[*row["prompt_ids"], *row["completion_ids"]][: self._max_length] for row in rows]
        targets = [
            ([NO_TARGET] * len(row["prompt_ids"]) + _targets(row))[: self._max_length]
            for row in rows
        ]
        width = max(map(len, ids))
        return {
            "input_ids": torch.tensor([row + [self._pad] * (width - len(row)) for row in ids]),
            "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in ids]),
            "targets": torch.tensor([t + [NO_TARGET] * (width - len(t)) for t in targets]),
        }


def _targets(row: dict[str, Any]) -> list[float]:
    """A completion's targets. Raises ValueError if they are not one a token."""
    given, length = row["targets"], len(row["completion_ids"])
    if len(given) != length:
        raise ValueError(f"{len(given)} targets for {length} tokens")
    return [NO_TARGET if target is None else float(target) for target in given]


class VerifierTrainer(Trainer):
    """transformers' trainer with the loss of a verifier."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        targets = inputs["targets"]
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        loss = verifier_loss(outputs.logits[..., 0].float(), targets)
        return (loss, outputs) if return_outputs else loss
