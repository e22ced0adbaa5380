"""cDPO on trl: DPO whose tokens have weights.

trl 1.16 takes every loss of `DPOTrainer` from the sum of a (2B, T - 1) tensor of per-token
log-probabilities, for the policy and the reference alike. A forward hook that multiplies that tensor by
the weights is therefore all it takes: with every loss type, LoRA, a precomputed reference. It rests on
private parts of trl, hence the pin; `tests/ctm_train/test_cdpo.py` compares it with `losses.cdpo_loss`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import pad

WEIGHTS = "token_weights"
COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids", "chosen_weights", "rejected_weights")


class WeightedPreferenceCollator(DataCollatorForPreference):
    """trl's collator, which pads and truncates the weights exactly like the ids.

    `chosen_weights` and `rejected_weights` have one entry a completion token; without them, or where
    they are None, a side has weights of 1. Raises ValueError for weights of another length.
    """

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        rows = [_weights(row, side) for side in ("chosen", "rejected") for row in examples]
        if self.max_length is not None:
            keep_start = self.truncation_mode == "keep_start"
            kept = slice(self.max_length) if keep_start else slice(-self.max_length, None)
            rows = [row[kept] for row in rows]
        batch[WEIGHTS] = pad(
            [torch.tensor(row) for row in rows],
            padding_value=0,
            padding_side="right",
            pad_to_multiple_of=self.pad_to_multiple_of,
        )
        return batch


def _weights(row: dict[str, Any], side: str) -> list[float]:
    """A side's weights, 0 on the prompt."""
    ids, weights = row[f"{side}_ids"], row.get(f"{side}_weights")
    weights = [1.0] * len(ids) if weights is None else list(weights)
    if len(weights) != len(ids):
        raise ValueError(f"{side}_weights has {len(weights)} entries for {len(ids)} tokens")
    return [0.0] * len(row["prompt_ids"]) + weights


class CDPOTrainer(DPOTrainer):
    """`DPOTrainer` over token ids, with `chosen_weights` and `rejected_weights` columns.

    gamma of the paper is trl's `beta`. Columns: `prompt_ids`, `chosen_ids`, `rejected_ids`, taken as they
    are (trl itself re-tokenises text), and the two of weights.
    """

    _tag_names = ["trl", "cdpo"]  # noqa: RUF012
    _name = "cDPO"

    def __init__(self, *, args: Any, processing_class: Any, **kwargs: Any) -> None:
        self._weights: torch.Tensor | None = None
        kwargs.setdefault(
            "data_collator",
            WeightedPreferenceCollator(
                pad_token_id=processing_class.pad_token_id,
                max_length=args.max_length,
                truncation_mode=args.truncation_mode,
                pad_to_multiple_of=args.pad_to_multiple_of,
            ),
        )
        super().__init__(args=args, processing_class=processing_class, **kwargs)

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, name: str) -> Any:
        missing = set(COLUMNS[:3]) - set(dataset.column_names)
        if missing:
            raise ValueError(f"the {name} dataset has no {', '.join(sorted(missing))}")
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        known: list[str] = self._signature_columns or []
        self._signature_columns = list(dict.fromkeys([*known, *COLUMNS]))  # type: ignore[assignment]

    def _compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False
    ) -> Any:
        with self._weighted(inputs, self.model, self.ref_model) as rest:
            return super()._compute_loss(model, rest, return_outputs)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """As trl's, for `precompute_ref_log_probs`; weighted alike."""
        with self._weighted(inputs, model) as rest:
            return super().compute_ref_log_probs(model, rest)

    @contextmanager
    def _weighted(self, inputs: dict[str, Any], *models: Any) -> Iterator[dict[str, Any]]:
        """Multiplies the log-probabilities of `models` by the batch's weights; the other inputs."""
        rest = dict(inputs)
        self._weights = rest.pop(WEIGHTS)
        unwrapped = {id(m): m for m in map(self.accelerator.unwrap_model, filter(None, models))}
        hooks = [
            m.register_forward_hook(self._multiply, with_kwargs=True) for m in unwrapped.values()
        ]
        try:
            yield rest
        finally:
            self._weights = None
            for hook in hooks:
                hook.remove()

    def _multiply(self, module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> Any:
        if kwargs.get("fused_lm_head"):
            assert self._weights is not None
            weights = self._weights[:, 1:].to(output.log_probs.dtype)
            if weights.shape != output.log_probs.shape:
                shapes = f"{tuple(weights.shape)} and {tuple(output.log_probs.shape)}"
                raise ValueError(f"weights and log-probabilities do not line up: {shapes}")
            output.log_probs = output.log_probs * weights
        return output
