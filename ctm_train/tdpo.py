"""Token-level DPO (arXiv 2404.11999), which trl does not have.

It needs the whole next-token distribution of policy and reference at every completion token, two
(2B, T, V) tensors: expect it to take more memory than the other methods with a large vocabulary.
"""

from contextlib import nullcontext
from typing import Any

import torch
from peft import PeftModel

from ctm_train.cdpo import WEIGHTS, CDPOTrainer
from ctm_train.losses import tdpo_loss


class TDPOTrainer(CDPOTrainer):
    """`CDPOTrainer` over pairs of ids without weights, with the loss of TDPO."""

    _tag_names = ["trl", "tdpo"]  # noqa: RUF012
    _name = "TDPO"

    def __init__(self, *, kl_weight: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kl_weight = kl_weight

    def _compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False
    ) -> Any:
        inputs = {name: value for name, value in inputs.items() if name != WEIGHTS}
        ids, mask = inputs["input_ids"], inputs["completion_mask"][:, 1:].bool()
        seen = {"input_ids": ids, "attention_mask": inputs["attention_mask"], "use_cache": False}
        outputs = model(**seen)
        policy = outputs.logits[:, :-1].float().log_softmax(-1)
        own = self.accelerator.unwrap_model(model)
        without_adapter = own.disable_adapter() if isinstance(own, PeftModel) else nullcontext()
        with torch.no_grad(), without_adapter:
            reference = (self.ref_model or model)(**seen).logits[:, :-1].float().log_softmax(-1)
        tokens = ids[:, 1:, None]
        logps = (policy.gather(-1, tokens)[..., 0] * mask).sum(-1)
        ref_logps = (reference.gather(-1, tokens)[..., 0] * mask).sum(-1)
        kl = ((reference.exp() * (reference - policy)).sum(-1) * mask).sum(-1)
        (chosen, rejected), (ref_chosen, ref_rejected) = logps.chunk(2), ref_logps.chunk(2)
        chosen_kl, rejected_kl = kl.chunk(2)
        loss = tdpo_loss(
            chosen,
            rejected,
            ref_chosen,
            ref_rejected,
            chosen_kl,
            rejected_kl,
            self.beta,
            self._kl_weight,
        )
        mode = "train" if model.training else "eval"
        wins = ((chosen - ref_chosen) > (rejected - ref_rejected)).float().mean()
        self._metrics[mode]["rewards/accuracies"].append(wins.item())
        return (loss, outputs) if return_outputs else loss
