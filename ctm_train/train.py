"""`train`: rows in, a trained model in a folder out.

OUTPUT/checkpoint-N/     what a killed run goes on from; gone when the run is done
OUTPUT/metrics.jsonl     a line for every logged step
OUTPUT/README.md         the model card
OUTPUT/training.json     method, settings, model, versions, and at the end the figures
OUTPUT/*.safetensors     the model, or its adapter
"""

import json
import math
import os
import resource
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_train.card import model_card
from ctm_train.data import ROWS
from ctm_train.errors import TrainError
from ctm_train.settings import Settings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Progress = Callable[[str, float, float, int, str], None]  # stage, steps done, in all, tokens, loss
RECORD, METRICS = "training.json", "metrics.jsonl"
PACKAGES = ("ctm", "torch", "transformers", "trl", "peft", "accelerate")


@dataclass(frozen=True)
class TrainingSummary:
    """What training took: optimizer steps, seconds, bytes at the peak (of the process on a CPU), and
    the last logged loss."""

    folder: Path
    steps: int
    seconds: float
    peak_bytes: int
    loss: float | None


def train(
    method: str,
    rows: "Dataset",
    output_dir: str | Path,
    *,
    model: str,
    settings: Settings,
    name: str | None = None,
    merge: bool = False,
    report_to: Sequence[str] = (),
    save_steps: float = 0.1,
    described: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> TrainingSummary:
    """Trains `model` (a Hub id or a folder) on `rows` by `method` and writes it to `output_dir`.

    `rows` are columns of token ids or text: see `ctm_train.data`. With `settings.lora` an adapter is
    trained; `merge` folds it into the model. A checkpoint is written every `save_steps` steps, or below
    1 after that share of them, or never for 0. The record and the card call the model `name`, if it is
    given, and say of the rows what is in `described`. The same call on a folder whose run was stopped
    goes on from its last checkpoint; on a finished one it does nothing. Raises TrainError.
    """
    from transformers import TrainingArguments

    from ctm_train.methods import METHODS, VERIFIERS

    if method not in METHODS:
        raise TrainError(f"unknown method {method!r}; there are: {', '.join(METHODS)}", usage=True)
    if merge and not settings.lora:
        raise TrainError("--merge folds an adapter into its model; --no-lora has none", usage=True)
    folder = Path(output_dir)
    call = {
        "method": method,
        "model": name or model,
        "settings": asdict(settings),
        "merge": merge,
        "rows": len(rows),
        "data": described or {},
        "versions": {package: version(package) for package in PACKAGES},
    }
    if done := _finished(folder, call):
        return done
    with _quiet(), _advice():
        common = _common(folder, settings, report_to, save_steps)
        # DeepSpeed and FSDP tell transformers how to load the model by way of its arguments.
        arguments = TrainingArguments(**common)
        wished = (os.environ.get(f"ACCELERATE_USE_{kind}") for kind in ("FSDP", "DEEPSPEED"))
        sharded = bool(arguments.deepspeed or arguments.fsdp) or "true" in wished
        if merge and sharded:
            raise TrainError(
                "--merge needs the whole model in one process: leave it out", usage=True
            )
        loaded, tokenizer = load(model, settings, head=method in VERIFIERS)
        trainer = METHODS[method](loaded, tokenizer, rows, settings, common)
        _listen(trainer, folder, method, progress)
        folder.mkdir(parents=True, exist_ok=True)
        if trainer.is_world_process_zero():
            _write(folder / RECORD, call)
        began = time.monotonic()
        result = trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        trained = trainer.accelerator.unwrap_model(trainer.model)
        if merge:
            trained = trained.merge_and_unload()
        if sharded:
            trainer.save_model(str(folder))
        elif trainer.is_world_process_zero():
            trained.save_pretrained(folder)
    outcome = TrainingSummary(
        folder=folder,
        steps=result.global_step,
        seconds=time.monotonic() - began,
        peak_bytes=_peak_bytes(),
        loss=_last_loss(trainer),
    )
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(folder)
        figures = {k: v for k, v in asdict(outcome).items() if k != "folder"}
        record = {**call, "outcome": figures}
        card = model_card(record, adapter=settings.lora and not merge)
        (folder / "README.md").write_text(card, encoding="utf-8")
        _write(folder / RECORD, record)
        for scratch in (*folder.glob("checkpoint-*"), folder / ROWS):
            shutil.rmtree(scratch, ignore_errors=True)
    return outcome


def load(
    model: str, settings: Settings, *, head: bool = False
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """The model, with a fresh LoRA adapter if the settings ask for one, and its tokenizer.

    With `head` it has a scalar head at every token in place of its vocabulary, fresh as well. A folder
    that holds an adapter is loaded with the adapter folded in. Raises TrainError.
    """
    import torch
    from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if settings.bf16 and torch.cuda.is_available() else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
        if (Path(model) / "adapter_config.json").exists():
            adapted = AutoPeftModelForCausalLM.from_pretrained(
                model, dtype=dtype, trust_remote_code=False
            )
            loaded = adapted.merge_and_unload()
        else:
            loaded = AutoModelForCausalLM.from_pretrained(
                model, dtype=dtype, trust_remote_code=False
            )
        if head:
            torch.manual_seed(settings.seed)
            loaded = with_head(loaded)
    except (OSError, ValueError) as error:
        raise TrainError(
            f"cannot load the model {model!r}: it is neither a folder with a model nor a Hub model "
            f"that can be reached ({str(error).strip().splitlines()[0]})",
            usage=True,
        ) from error
    if tokenizer.eos_token_id is None:
        raise TrainError(f"the tokenizer of {model!r} has no end-of-sequence token", usage=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if settings.lora:
        torch.manual_seed(settings.seed)
        adapter = LoraConfig(
            r=settings.lora_r,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=settings.lora_targets.split(","),
            task_type="TOKEN_CLS" if head else "CAUSAL_LM",
        )
        try:
            loaded = get_peft_model(loaded, adapter)
        except ValueError as error:
            raise TrainError(
                f"LoRA does not fit {model!r}: it has no modules {settings.lora_targets}; name its "
                "own with --lora-targets, or give --no-lora",
                usage=True,
            ) from error
    return loaded, tokenizer


def with_head(model: "PreTrainedModel") -> "PreTrainedModel":
    """The body of a language model under a scalar head that starts at 0."""
    import torch
    from transformers import AutoModelForTokenClassification

    config = model.config
    config.num_labels, config.classifier_dropout = 1, 0.0
    classifier = AutoModelForTokenClassification.from_config(config, dtype=model.dtype)
    body = classifier.base_model_prefix
    getattr(classifier, body).load_state_dict(getattr(model, body).state_dict())
    torch.nn.init.zeros_(classifier.score.weight)
    torch.nn.init.zeros_(classifier.score.bias)
    return classifier


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a run; what a kill left half-written is not whole."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for checkpoint in reversed(found):
        try:  # the trainer writes this file last
            json.loads((checkpoint / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue
        return str(checkpoint)
    return None


def _finished(folder: Path, call: dict[str, Any]) -> TrainingSummary | None:
    """The outcome if the folder's run is done. Raises TrainError if it was another run's."""
    if not (folder / RECORD).exists():
        if folder.exists() and any(path.name != ROWS for path in folder.iterdir()):
            raise TrainError(
                f"{folder} is not empty and no training was begun there; give another --output-dir",
                usage=True,
            )
        return None
    before = json.loads((folder / RECORD).read_text())
    flat, own = _flat(call), _flat({k: v for k, v in before.items() if k != "outcome"})
    changed = [
        f"{name}: {own.get(name)!r} there, {flat.get(name)!r} here"
        for name in sorted({*flat, *own})
        if flat.get(name) != own.get(name) and not name.startswith("versions")
    ]
    if changed:
        raise TrainError(
            f"{folder} belongs to another training ({'; '.join(changed)}); give the same options to go "
            "on with it, or another --output-dir",
            usage=True,
        )
    return TrainingSummary(folder=folder, **before["outcome"]) if "outcome" in before else None


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            flat |= _flat(entry, f"{prefix}{name}.")
        else:
            flat[prefix + name] = entry
    return flat


def _common(
    folder: Path, settings: Settings, report_to: Sequence[str], save_steps: float
) -> dict[str, Any]:
    """What every trainer of trl is told."""
    import torch

    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "warmup_steps": settings.warmup,
        "lr_scheduler_type": settings.scheduler,
        "weight_decay": settings.weight_decay,
        "seed": settings.seed,
        "bf16": settings.bf16 and gpu,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "report_to": list(report_to) or "none",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not a number has to be seen
        "save_strategy": "steps" if save_steps else "no",
        "save_steps": save_steps or 1,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "dataloader_pin_memory": gpu,
    }


def _listen(trainer: Any, folder: Path, stage: str, progress: Progress | None) -> None:
    from transformers import PrinterCallback, TrainerCallback

    class Listener(TrainerCallback):
        """Writes metrics.jsonl, reports the progress, and stops a run whose loss is not a number."""

        tokens, loss = 0, ""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            path = folder / METRICS  # lines of steps that were lost with a kill are made anew
            lines = path.read_text().splitlines() if path.exists() else []
            kept = [line for line in lines if _step(line) <= state.global_step]
            path.write_text("".join(line + "\n" for line in kept))

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero:
                return
            loss = logs.get("loss")
            self.tokens = int(logs.get("num_tokens", self.tokens))
            self.loss = self.loss if loss is None else f"loss {loss:.3g}"
            if loss is not None and not math.isfinite(loss):
                raise TrainError(
                    f"the loss is {loss} at step {state.global_step}: lower --learning-rate or "
                    "--gamma, or raise --warmup"
                )
            with (folder / METRICS).open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if progress and state.is_world_process_zero:
                done, total = state.global_step, state.max_steps
                progress(f"training {stage}", done, total, self.tokens, self.loss)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Listener())


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # cut off by a kill


def _last_loss(trainer: Any) -> float | None:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses[-1] if losses else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the libraries' bars and notes away from ours while a trainer is made and runs."""
    import datasets
    from transformers.utils import logging

    tqdm, bars = os.environ.get("TQDM_DISABLE"), datasets.are_progress_bars_disabled()
    verbosity = logging.get_verbosity()
    os.environ["TQDM_DISABLE"] = "1"
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
        if not bars:
            datasets.enable_progress_bars()
        if tqdm is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = tqdm


@contextmanager
def _advice() -> Iterator[None]:
    """Turns running out of memory into an error that says what to lower."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        raise TrainError(
            "out of memory: lower --batch-size (and raise --gradient-accumulation as much), lower "
            "--max-length, or give --gradient-checkpointing"
        ) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text


def _peak_bytes() -> int:
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _write(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(partial, path)
