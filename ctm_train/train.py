"""`train`: rows in, a trained model in a folder out.

OUTPUT/checkpoint-N/     what a killed run goes on from; gone when the run is done
OUTPUT/metrics.jsonl     a line for every logged step
OUTPUT/README.md         the model card
OUTPUT/training.json     method, settings, model, versions, and at the end the figures
OUTPUT/*.safetensors     the model, or its adapter
"""

import errno
import json
import math
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_train import moved, record
from ctm_train.card import model_card
from ctm_train.data import largest_id
from ctm_train.errors import TrainError
from ctm_train.settings import HAVE_REFERENCE, Settings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Progress = Callable[[str, float, float, int, str], None]  # stage, steps done, in all, tokens, loss
METRICS = "metrics.jsonl"
MODEL_FILES = ("config.json", "adapter_config.json")
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
DISK_SAID = (*map(os.strerror, DISK), "PytorchStreamWriter failed", "unexpected pos")
FEW = 10  # steps: the recipes' learning rates are for some dozens to some hundreds
PACKAGES = ("ctm", "torch", "transformers", "trl", "peft", "accelerate")


@dataclass(frozen=True)
class TrainingSummary:
    """What training took: optimizer steps, seconds, bytes at the peak (of the process on a CPU), the
    last logged loss, and the KL divergence from the start model on a few training rows, in nats a token
    (None where the model is split over several devices). `dropped` rows could not be trained on."""

    folder: Path
    steps: int
    seconds: float
    peak_bytes: int
    loss: float | None
    kl: float | None = None
    dropped: int = 0

    @property
    def still(self) -> bool:
        """Whether the model is, for all that can be seen, the one that training started from."""
        return self.kl is not None and self.kl < moved.STILL

    @property
    def short(self) -> bool:
        """Whether there were too few steps for a difference that an evaluation could show."""
        return self.steps < FEW


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
    if not (math.isfinite(save_steps) and save_steps >= 0):
        raise TrainError(f"--save-steps must be 0 or more, not {save_steps}", usage=True)
    _check_reports(report_to)
    folder = Path(output_dir)
    call = {
        "method": method,
        "model": name or model,
        "reference": method in HAVE_REFERENCE,
        "settings": asdict(settings),
        "merge": merge,
        "rows": len(rows),
        "data": described or {},
        "versions": {package: version(package) for package in PACKAGES},
        "machine": {"bfloat16": _in_bfloat16(settings)},
    }
    if (outcome := record.finished(folder, call)) is not None:
        return TrainingSummary(folder=folder, **outcome)
    with _quiet(), _advice(), _explained(folder):
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
        largest, known = largest_id(rows), loaded.config.get_text_config().vocab_size
        if largest >= known:
            raise TrainError(
                f"the data has the token id {largest}, and {name or model} has {known} tokens: give "
                "--model, the model that wrote the data or one with the same tokenizer",
                usage=True,
            )
        shortest = moved.all_cut_off(method, rows, tokenizer, settings.max_length)
        if shortest is not None:
            raise TrainError(
                f"--max-length {settings.max_length} cuts off every completion, and nothing is left to "
                f"train on: the shortest prompt alone has {shortest} tokens; raise it",
                usage=True,
            )
        trainer = METHODS[method](loaded, tokenizer, rows, settings, common)
        _bound_warmup(trainer, settings)
        _listen(trainer, folder, method, progress)
        if trainer.is_world_process_zero():
            record.begin(folder, call)
        looked_at = [] if sharded else moved.sample(method, rows, tokenizer, settings.max_length)
        start = moved.log_probs(_bare(trainer), looked_at) if looked_at else None
        began = time.monotonic()
        result = trainer.train(resume_from_checkpoint=record.last_checkpoint(folder))
        trained = _bare(trainer)
        kl = None
        if start is not None:
            kl = moved.divergence(start, moved.log_probs(_bare(trainer), looked_at))
        if merge:
            trained = trained.merge_and_unload()
        if sharded:
            trainer.save_model(str(folder))
        elif trainer.is_world_process_zero():
            trained.save_pretrained(folder)
        summary = TrainingSummary(
            folder=folder,
            steps=result.global_step,
            seconds=time.monotonic() - began,
            peak_bytes=_peak_bytes(),
            loss=_last_loss(trainer),
            kl=kl,
        )
        if trainer.is_world_process_zero():
            tokenizer.save_pretrained(folder)
            figures = {k: v for k, v in asdict(summary).items() if k not in ("folder", "dropped")}
            told = {**call, "outcome": figures}
            card = model_card(told, adapter=settings.lora and not merge)
            (folder / "README.md").write_text(card, encoding="utf-8")
            record.write(folder, told)
            record.clear(folder)
    return summary


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
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if Path(model).is_dir() and not any((Path(model) / file).exists() for file in MODEL_FILES):
            raise TrainError(
                f"{model} holds no model: it has no {' or '.join(MODEL_FILES)}; give a model's folder",
                usage=True,
            ) from error
        raise TrainError(
            f"cannot load the model {model!r}: it is neither a folder with a model nor a Hub model "
            f"that can be reached ({reason})",
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
    classifier = AutoModelForTokenClassification.from_config(
        config, dtype=model.dtype, trust_remote_code=False
    )
    body = classifier.base_model_prefix
    getattr(classifier, body).load_state_dict(getattr(model, body).state_dict())
    torch.nn.init.zeros_(classifier.score.weight)
    torch.nn.init.zeros_(classifier.score.bias)
    return classifier


def _check_reports(report_to: Sequence[str]) -> None:
    """Raises TrainError for a tracker that transformers does not know or that is not installed."""
    from transformers.integrations import get_available_reporting_integrations
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise TrainError(f"unknown --report-to {name!r}; there are: {known}", usage=True)
        if name not in get_available_reporting_integrations():
            raise TrainError(
                f"--report-to {name} needs its package: pip install {name}", usage=True
            )


def _bound_warmup(trainer: Any, settings: Settings) -> None:
    """Makes a warm-up that is a share of the steps a number of them where it is above the bound."""
    args = trainer.args
    batches = -(-len(trainer.train_dataset) // (args.train_batch_size * args.world_size))
    steps = math.ceil(args.num_train_epochs * -(-batches // args.gradient_accumulation_steps))
    if settings.warmup_limit and args.get_warmup_steps(steps) > settings.warmup_limit:
        args.warmup_steps = settings.warmup_limit


def _bare(trainer: Any) -> Any:
    return trainer.accelerator.unwrap_model(trainer.model)


def _common(
    folder: Path, settings: Settings, report_to: Sequence[str], save_steps: float
) -> dict[str, Any]:
    """What every trainer of trl is told."""
    import torch
    from transformers import TrainingArguments

    gpu = torch.cuda.is_available()
    checkpointing = "activation_checkpointing"
    if checkpointing not in TrainingArguments.__dataclass_fields__:
        checkpointing = "gradient_checkpointing"  # its name in older versions of transformers
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
        "bf16": _in_bfloat16(settings),
        checkpointing: settings.gradient_checkpointing,
        "report_to": list(report_to) or "none",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not a number has to be seen
        "save_strategy": "steps" if save_steps else "no",
        "save_steps": save_steps or 1,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "dataloader_pin_memory": gpu,
        # Without it the processes of a launch on CPUs do not join: each would train alone.
        "use_cpu": not torch.accelerator.is_available(),
    }


def _in_bfloat16(settings: Settings) -> bool:
    """Whether the products are computed in bfloat16: where that is wanted, and faster than float32."""
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", None)  # an older torch cannot tell
    processor = capabilities() if capabilities else {}
    fast = any(processor.get(kind) for kind in ("amx_bf16", "avx512_bf16"))
    return settings.bf16 and (torch.cuda.is_available() or fast)


def _listen(trainer: Any, folder: Path, stage: str, progress: Progress | None) -> None:
    from transformers import PrinterCallback, TrainerCallback

    class Listener(TrainerCallback):
        """Writes metrics.jsonl, reports the progress, and stops a run whose loss is not a number."""

        tokens = 0

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
            if loss is not None and not math.isfinite(loss):
                raise TrainError(
                    f"the loss is {loss} at step {state.global_step}: lower --learning-rate or "
                    "--beta, or raise --warmup"
                )
            with (folder / METRICS).open("a") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")

            if progress and loss is not None:  # every step is logged, once it is done
                done, total = state.global_step, state.max_steps
                progress(f"training {stage}", done, total, self.tokens, f"loss {loss:.4g}")

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
    verbosity, loading = logging.get_verbosity(), logging.is_progress_bar_enabled()
    os.environ["TQDM_DISABLE"] = "1"
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", "Cannot enable progress bars")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if loading:
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


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns what the libraries raise on a full or read-only disk into an error that says what to do."""
    try:
        yield
    except TrainError:
        raise
    except Exception as error:  # those of safetensors, tokenizers and torch are of their own kinds
        said = str(error)
        of_the_disk = isinstance(error, OSError) and error.errno in DISK
        if not of_the_disk and not any(word in said for word in DISK_SAID):
            raise
        reason = next(
            (os.strerror(code) for code in DISK if os.strerror(code) in said), "disk full"
        )
        raise TrainError(
            f"cannot write to {folder} ({reason}): free some space there, or see that you may write, "
            "and run the same command again, which goes on from the last checkpoint"
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
