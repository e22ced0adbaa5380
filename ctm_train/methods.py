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

from ctm_train.data import ROWS, completions, labelled, pairs
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


def cdpo(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    rows: "Dataset",
    settings: Settings,
    common: dict[str, Any],
    losses: dict[str, float] | None = None,
) -> "Trainer":
    """cDPO; without weights it is DPO. `losses` are trl's loss types and their weights."""
    from trl import DPOConfig

    from ctm_train.cdpo import CDPOTrainer

    losses = losses or {"sigmoid": 1.0}
    arguments = DPOConfig(
        **common,
        max_length=settings.max_length,
        beta=settings.gamma,
        loss_type=list(losses),
        loss_weights=list(losses.values()),
        precompute_ref_log_probs=True,
    )
    return CDPOTrainer(
        model=model,
        args=arguments,
        train_dataset=_shared(pairs(rows, tokenizer), common),
        processing_class=tokenizer,
    )


def dpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """DPO: cDPO with weights of 1."""
    return cdpo(model, tokenizer, _without_weights(rows), settings, common)


def rpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """RPO: DPO and `nll_weight` times the chosen side's mean negative log-likelihood."""
    losses = {"sigmoid": 1.0, "sft": settings.nll_weight}
    return cdpo(model, tokenizer, _without_weights(rows), settings, common, losses)


def tdpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """Token-level DPO; the reference is run beside the policy, for its whole distribution is needed."""
    import copy

    from peft import PeftModel
    from trl import DPOConfig

    from ctm_train.tdpo import TDPOTrainer

    arguments = DPOConfig(**common, max_length=settings.max_length, beta=settings.gamma)
    return TDPOTrainer(
        model=model,
        ref_model=None if isinstance(model, PeftModel) else copy.deepcopy(model),
        args=arguments,
        train_dataset=pairs(_without_weights(rows), tokenizer),
        processing_class=tokenizer,
        kl_weight=settings.kl_weight,
    )


def simpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """SimPO, by trl's CPO trainer."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    arguments = CPOConfig(
        **common,
        max_length=settings.max_length,
        loss_type="simpo",
        cpo_alpha=0.0,
        beta=settings.gamma,
        simpo_gamma=settings.gamma * settings.margin,
    )
    return _over_ids(CPOTrainer)(
        model=model,
        args=arguments,
        train_dataset=pairs(_without_weights(rows), tokenizer),
        processing_class=tokenizer,
    )


def orpo(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """ORPO, by trl."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    arguments = ORPOConfig(**common, max_length=settings.max_length, beta=settings.gamma)
    return _over_ids(ORPOTrainer)(
        model=model,
        args=arguments,
        train_dataset=pairs(_without_weights(rows), tokenizer),
        processing_class=tokenizer,
    )


def kto(model: Any, tokenizer: Any, rows: Any, settings: Settings, common: Any) -> "Trainer":
    """KTO, by trl: each side of a pair is a row, the chosen one desirable."""
    from datasets import Dataset, concatenate_datasets
    from trl import KTOConfig, KTOTrainer

    ids = pairs(_without_weights(rows), tokenizer)
    sides = [
        ids.select_columns(["prompt_ids", f"{side}_ids"])
        .rename_column(f"{side}_ids", "completion_ids")
        .add_column("label", [side == "chosen"] * len(ids))
        for side in ("chosen", "rejected")
    ]
    # Shuffled once, so that a batch has both labels and mismatched prompts for the KL term.
    both = concatenate_datasets(sides).shuffle(seed=settings.seed)

    class OverIds(KTOTrainer):
        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            def rotate(batch: dict[str, Any]) -> dict[str, Any]:
                own = batch["completion_ids"]
                return {"KL_completion_ids": [own[-1], *own[:-1]]}

            return dataset.map(rotate, batched=True, batch_size=settings.batch_size)

    assert isinstance(both, Dataset)
    arguments = KTOConfig(
        **common,
        max_length=settings.max_length,
        beta=settings.gamma,
        precompute_ref_log_probs=True,
    )
    return OverIds(
        model=model,
        args=arguments,
        train_dataset=_shared(both, common),
        processing_class=tokenizer,
    )


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
    "tdpo": tdpo,
    "rpo": rpo,
    "simpo": simpo,
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
