"""The methods: a trl trainer for each, over token ids.

Every function takes the model, its tokenizer, rows with ids, the settings and trl's common arguments,
and returns a trainer that is ready to train. A reference, where a method has one, is the model as it
comes in; with a LoRA adapter it is the model without the adapter.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_train.data import ROWS, WEIGHTS, completions, judged, labelled, pairs
from ctm_train.errors import TrainError
from ctm_train.settings import Settings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

Build = Callable[..., "Trainer"]


def sft(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: "Dataset",
    settings: Settings,
    common: dict[str, Any],
) -> "Trainer":
    """Supervised fine-tuning, loss on the completions only."""
    from trl import SFTConfig, SFTTrainer

    def joined(row: dict[str, Any]) -> dict[str, Any]:
        prompt, completion = row["prompt_ids"], row["completion_ids"]
        mask = [0] * len(prompt) + [1] * len(completion)
        return {"input_ids": [*prompt, *completion], "completion_mask": mask}

    ids = completions(rows, tokenizer)
    return SFTTrainer(
        model,
        args=SFTConfig(**common, max_length=settings.max_length, completion_only_loss=True),
        train_dataset=ids.map(joined, remove_columns=ids.column_names),
        processing_class=tokenizer,
    )


def cdpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """cDPO: DPO whose tokens have weights; a side without any weighs 1. Raises TrainError for rows without
    weights."""
    named = [name for name in WEIGHTS if name in rows.column_names]
    if not named or ("rejected_weights" in named and None in rows["rejected_weights"][:]):
        raise TrainError(
            "cdpo needs a weight for every rejected token, and there are rows without rejected_weights: "
            "give them theirs, or train dpo",
            usage=True,
        )
    return _by_dpo(model, tokenizer, pairs(rows, tokenizer), settings, common)


def dpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """DPO: cDPO with weights of 1."""
    ids = pairs(_without_weights(rows), tokenizer)
    return _by_dpo(model, tokenizer, ids, settings, common)


def cliff_dpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """DPO on pairs of one token each. Raises TrainError for longer ones."""
    ids = pairs(_without_weights(rows), tokenizer)
    if any(len(side) != 1 for name in ("chosen_ids", "rejected_ids") for side in ids[name][:]):
        raise TrainError(
            "cliff-dpo trains on one token a side, as token ids (chosen_ids, rejected_ids): for longer "
            "ones, train dpo",
            usage=True,
        )
    return _by_dpo(model, tokenizer, ids, settings, common)


def rpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """RPO: DPO and `nll_weight` times the chosen side's negative log-likelihood.

    The NLL is trl's: one mean over the chosen completions' tokens of the whole batch. The paper (arXiv
    2404.19733) takes each pair's own mean first, its NLL divided by its length, and then the mean over
    pairs. The two agree for a batch of one pair or of equal lengths; otherwise a long completion weighs
    more here. The paper's reference is the model of the round before; ours is the model it starts from.
    """
    ids = pairs(_without_weights(rows), tokenizer)
    return _by_dpo(
        model, tokenizer, ids, settings, common, {"sigmoid": 1.0, "sft": settings.nll_weight}
    )


def _by_dpo(
    model: Any,
    tokenizer: Any,
    rows: Any,
    settings: Settings,
    common: dict[str, Any],
    losses: dict[str, float] | None = None,
) -> "Trainer":
    """The trainer of DPO and its kin. `losses` are trl's loss types and their weights."""
    from trl import DPOConfig

    from ctm_train.cdpo import CDPOTrainer

    losses = losses or {"sigmoid": 1.0}
    arguments = DPOConfig(
        **common,
        max_length=settings.max_length,
        beta=settings.beta,
        loss_type=list(losses),
        loss_weights=list(losses.values()),
        precompute_ref_log_probs=True,
    )
    trainer = CDPOTrainer(
        model=model,
        args=arguments,
        train_dataset=_shared(rows, common),
        processing_class=tokenizer,
    )
    return _without_ref_adapter(trainer)


def tdpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """Token-level DPO; the reference is run beside the policy, for its whole distribution is needed."""
    from ctm_train.tdpo import TDPOTrainer

    ids = pairs(_without_weights(rows), tokenizer)
    return _by_distributions(TDPOTrainer, model, tokenizer, ids, settings, common)


def tis_dpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """TIS-DPO, from pairs with a weight for every token of both sides. Raises TrainError for others."""
    from ctm_train.tdpo import TISDPOTrainer

    if any(name not in rows.column_names or None in rows[name][:] for name in WEIGHTS):
        raise TrainError(
            "tis-dpo needs a weight for every token of both sides, and there are rows without "
            f"{' or '.join(WEIGHTS)}: give them theirs, or train dpo",
            usage=True,
        )
    ids = pairs(rows, tokenizer)
    return _by_distributions(TISDPOTrainer, model, tokenizer, ids, settings, common)


def _by_distributions(
    kind: Any, model: Any, tokenizer: Any, rows: Any, settings: Settings, common: dict[str, Any]
) -> "Trainer":
    """The trainers that see the distributions of policy and reference."""
    import copy

    from peft import PeftModel
    from trl import DPOConfig

    trainer = kind(
        model=model,
        ref_model=None if isinstance(model, PeftModel) else copy.deepcopy(model),
        args=DPOConfig(**common, max_length=settings.max_length, beta=settings.beta),
        train_dataset=rows,
        processing_class=tokenizer,
        kl_weight=settings.kl_weight,
    )
    return _without_ref_adapter(trainer)


def simpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """SimPO, by trl's CPO trainer.

    The loss of a pair is -log sigmoid(beta * (r(chosen) - r(rejected) - simpo_gamma)), with r the mean
    log-probability of a completion's tokens. `simpo_gamma` is thus the ratio gamma/beta of the paper
    (arXiv 2405.14734, eq. 6), which its authors tune, and not gamma, which trl's `simpo_gamma` is:
    a ratio keeps its meaning when beta changes.
    """
    return _by_simpo(_cpo_trainer(), model, tokenizer, rows, settings, common)


def confpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """ConfPO: SimPO whose means are over the tokens of `losses.confpo_reward` alone."""
    from ctm_train.losses import confpo_reward

    class Unsure(_cpo_trainer()):  # type: ignore[misc]
        @staticmethod
        def get_batch_logps(logits: Any, labels: Any, **_: Any) -> Any:
            mask = labels[:, 1:] != -100
            ids = labels[:, 1:].clamp(min=0)[..., None]
            own = logits[:, :-1].log_softmax(-1).gather(-1, ids)[..., 0]
            return confpo_reward(own, mask)

    return _by_simpo(Unsure, model, tokenizer, rows, settings, common)


def _cpo_trainer() -> Any:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.cpo import CPOTrainer

    return CPOTrainer


def _by_simpo(
    kind: Any, model: Any, tokenizer: Any, rows: Any, settings: Settings, common: dict[str, Any]
) -> "Trainer":
    """The trainer of SimPO and its kin."""
    from trl.experimental.cpo import CPOConfig

    arguments = CPOConfig(
        **common,
        max_length=settings.max_length,
        loss_type="simpo",
        cpo_alpha=0.0,
        beta=settings.beta,
        simpo_gamma=settings.beta * settings.simpo_gamma,
    )
    trainer: Trainer = _over_ids(kind)(
        model=model,
        args=arguments,
        train_dataset=pairs(_without_weights(rows), tokenizer),
        processing_class=tokenizer,
    )
    return trainer


def orpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """ORPO, by trl.

    The NLL is trl's: one mean over the tokens of prompt and chosen completion of the whole batch, so that
    the prompt is learnt as well. The paper (arXiv 2403.07691, section 4) has the NLL of the chosen
    completion given the prompt, each pair by itself; its authors' code is as trl's. The odds ratio is the
    paper's: of the mean log-probabilities of the completions' tokens. `beta` is its lambda.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    arguments = ORPOConfig(**common, max_length=settings.max_length, beta=settings.beta)
    return _over_ids(ORPOTrainer)(
        model=model,
        args=arguments,
        train_dataset=pairs(_without_weights(rows), tokenizer),
        processing_class=tokenizer,
    )


def kto(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """KTO, by trl, on completions with a `label`; each side of a pair is one, the chosen desirable."""
    from trl import KTOConfig, KTOTrainer

    if settings.batch_size < 2:
        raise TrainError(
            "kto estimates its KL term within a batch: give a --batch-size of 2 or more", usage=True
        )
    # Shuffled once, so that a batch has both labels and mismatched prompts for the KL term.
    rows = judged(_without_weights(rows), tokenizer).shuffle(seed=settings.seed)

    class OverIds(KTOTrainer):
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            def rotate(batch: dict[str, Any]) -> dict[str, Any]:
                own = batch["completion_ids"]
                return {"KL_completion_ids": [own[-1], *own[:-1]]}

            return dataset.map(rotate, batched=True, batch_size=settings.batch_size)

    arguments = KTOConfig(
        **common,
        max_length=settings.max_length,
        beta=settings.beta,
        precompute_ref_log_probs=True,
    )
    trainer = OverIds(
        model=model,
        args=arguments,
        train_dataset=_shared(rows, common),
        processing_class=tokenizer,
    )
    return _without_ref_adapter(trainer)


def verifier(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """A verifier with a scalar head: the targets alone tell an outcome from a process reward model."""
    from transformers import TrainingArguments

    from ctm_train.verifier import VerifierCollator, VerifierTrainer

    return VerifierTrainer(
        model=model,
        args=TrainingArguments(**common, remove_unused_columns=False),
        train_dataset=labelled(rows, tokenizer),
        data_collator=VerifierCollator(tokenizer.pad_token_id, settings.max_length),
        processing_class=tokenizer,
    )


METHODS: dict[str, Build] = {
    "cdpo": cdpo,
    "dpo": dpo,
    "cliff-dpo": cliff_dpo,
    "tdpo": tdpo,
    "tis-dpo": tis_dpo,
    "rpo": rpo,
    "simpo": simpo,
    "confpo": confpo,
    "orpo": orpo,
    "kto": kto,
    "sft": sft,
    "orm": verifier,
    "prm": verifier,
}
VERIFIERS = ("orm", "prm")  # methods of models with a scalar head


def _without_weights(rows: "Dataset") -> "Dataset":
    extra = [n for n in ("chosen_weights", "rejected_weights") if n in rows.column_names]
    return rows.remove_columns(extra)


def _without_ref_adapter(trainer: Any) -> Any:
    """The trainer without trl's copy of the adapter for the reference, which would be saved with it.

    Our adapters are fresh, which is to say zero: the reference is the model without one, and that is
    what trl takes where no adapter is called `ref`.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if "ref" in getattr(model, "peft_config", {}):
        model.delete_adapter("ref")
    return trainer


def _shared(rows: "Dataset", common: dict[str, Any]) -> "Dataset":
    """The rows, on disk if several processes train: trl's precomputed reference is a file beside them,
    and rows in memory would have it in a folder that the other processes do not see."""
    from accelerate import PartialState
    from datasets import load_from_disk

    state = PartialState()
    if state.num_processes == 1:
        return rows
    folder = Path(common["output_dir"]) / ROWS
    with state.main_process_first():
        if state.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)
            rows.save_to_disk(folder)
    loaded = load_from_disk(folder)
    assert not isinstance(loaded, dict)
    return loaded


def _over_ids(trainer: Any) -> Any:
    """A trainer of trl's CPO family that takes token ids instead of tokenizing text."""

    class OverIds(trainer):
        def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            prompt = feature["prompt_ids"]
            row = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
            for side in ("chosen", "rejected"):
                ids = [*prompt, *feature[f"{side}_ids"]][: self.max_length]
                labels = [-100] * len(prompt) + feature[f"{side}_ids"]
                row[f"{side}_input_ids"] = ids
                row[f"{side}_attention_mask"] = [1] * len(ids)
                row[f"{side}_labels"] = labels[: self.max_length]
            return row

    return OverIds
