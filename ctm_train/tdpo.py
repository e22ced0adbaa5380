"""Token-level DPO (arXiv 2404.11999) and TIS-DPO (arXiv 2410.04350), which trl does not have.

They need the whole next-token distribution of policy and reference at every completion token, two
(2B, T, V) tensors: expect them to take more memory than the other methods with a large vocabulary.
"""

from abc import abstractmethod
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from peft import PeftModel

from ctm_train.cdpo import WEIGHTS, CDPOTrainer
from ctm_train.losses import tdpo_loss, tis_dpo_loss


class _Seen(NamedTuple):
    """What both models say of a batch. Chosen rows come first."""

    policy: torch.Tensor  # (2B, T, V) log-probabilities
    reference: torch.Tensor  # (2B, T, V)
    own: torch.Tensor  # (2B, T), of the tokens themselves
    ref_own: torch.Tensor  # (2B, T)
    weights: torch.Tensor  # (2B, T), 0 outside the completions


class _WithDistributions(CDPOTrainer):
    """`CDPOTrainer` whose loss sees the distributions of policy and reference."""

    def __init__(self, *, kl_weight: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kl_weight = kl_weight

    @abstractmethod
    def _loss(self, seen: _Seen) -> torch.Tensor:
        """The loss of a batch, a scalar."""

    def _compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False
    ) -> Any:
        ids, weights = inputs["input_ids"], inputs[WEIGHTS][:, 1:].float()
        given = {"input_ids": ids, "attention_mask": inputs["attention_mask"], "use_cache": False}
        outputs = model(**given)
        policy = outputs.logits[:, :-1].float().log_softmax(-1)
        own_model = self.accelerator.unwrap_model(model)
        without_adapter = (
            own_model.disable_adapter() if isinstance(own_model, PeftModel) else nullcontext()
        )
        with torch.no_grad(), without_adapter:
            reference = (self.ref_model or model)(**given).logits[:, :-1].float().log_softmax(-1)
        tokens = ids[:, 1:, None]
        own, ref_own = (every.gather(-1, tokens)[..., 0] for every in (policy, reference))
        loss = self._loss(_Seen(policy, reference, own, ref_own, weights))
        chosen, rejected = (weights * (own - ref_own)).sum(-1).detach().chunk(2)
        mode = "train" if model.training else "eval"
        self._metrics[mode]["rewards/accuracies"].append((chosen > rejected).float().mean().item())
        return (loss, outputs) if return_outputs else loss


class TDPOTrainer(_WithDistributions):
    """TDPO over pairs of ids without weights; `kl_weight` is its alpha."""

    _tag_names = ["trl", "tdpo"]  # noqa: RUF012
    _name = "TDPO"

    def _loss(self, seen: _Seen) -> torch.Tensor:
        kl = (seen.reference.exp() * (seen.reference - seen.policy)).sum(-1)
        every = (seen.own, seen.ref_own, kl)
        sums = ((each * seen.weights).sum(-1).chunk(2) for each in every)
        (chosen, rejected), (ref_chosen, ref_rejected), (chosen_kl, rejected_kl) = sums
        return tdpo_loss(
            chosen,
            rejected,
            ref_chosen,
            ref_rejected,
            chosen_kl,
            rejected_kl,
            self.beta,
            self._kl_weight,
        )


class TISDPOTrainer(_WithDistributions):
    """TIS-DPO over pairs of ids with weights on both sides; `kl_weight` multiplies its eta."""

    _tag_names = ["trl", "tis-dpo"]  # noqa: RUF012
    _name = "TIS-DPO"

    def _loss(self, seen: _Seen) -> torch.Tensor:
        kl = (seen.policy.exp() * (seen.policy - seen.reference)).sum(-1)
        halves = (each.chunk(2) for each in (seen.own, seen.ref_own, seen.weights, kl))
        (chosen, rejected), (ref_chosen, ref_rejected), weights, kls = halves
        return tis_dpo_loss(
            chosen,
            rejected,
            ref_chosen,
            ref_rejected,
            weights[0],
            weights[1],
            kls[0],
            kls[1],
            self.beta,
            self._kl_weight,
        )
