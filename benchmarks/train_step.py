"""What a cDPO step costs beside a step of trl's own DPO, on the same pairs, in one run.

    python benchmarks/train_step.py [--rounds 30]

Both trainers hold the built-in model and a live reference. A round is one training step (forward,
backward, optimizer) of each, in turn, on the same batch of sixteen pairs; the first rounds warm up.
Memory is the peak of the process during a step above what it held before.
"""

import argparse
import copy
import ctypes
import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

BATCH, WARM = 16, 3


def main() -> None:
    """Prints both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        steps = {"trl DPO": step_of(stock(Path(folder))), "cDPO": step_of(ours(Path(folder)))}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        peaks: dict[str, list[int]] = {name: [] for name in steps}
        for number in range(WARM + rounds):
            for name, step in steps.items():
                before = reset_peak()
                began = time.perf_counter()
                step()
                if number >= WARM:
                    seconds[name].append(time.perf_counter() - began)
                    peaks[name].append(peak() - before)
    ratios = [a / b for a, b in zip(seconds["cDPO"], seconds["trl DPO"], strict=True)]
    for name in steps:
        median, memory = statistics.median(seconds[name]), statistics.median(peaks[name])
        print(f"{name:8s} {1000 * median:7.1f} ms a step, {memory / 1e6:6.1f} MB above the rest")
    memory_ratio = statistics.median(peaks["cDPO"]) / statistics.median(peaks["trl DPO"])
    print(f"cDPO / trl DPO: time {statistics.median(ratios):.3f}, memory {memory_ratio:.3f}")


def pairs() -> list[dict[str, Any]]:
    """Sixteen pairs with text and ids, and a weight for every token."""
    from transformers import AutoTokenizer

    from ctm_eval.pocket import MODEL_DIR, problems

    tokenizer = AutoTokenizer.from_pretrained(str(MODEL_DIR))
    rows = []
    for number, problem in enumerate(problems("train", BATCH, 0)):
        row: dict[str, Any] = {"prompt": f"Question: {problem.question}\nAnswer:"}
        row["prompt_ids"] = tokenizer(row["prompt"]).input_ids
        for side in ("chosen", "rejected"):
            text = problem.solution if side == "chosen" else problem.solution.replace("=", "= 1")
            ids = tokenizer(text, add_special_tokens=False).input_ids
            row |= {side: text, f"{side}_ids": [*ids, tokenizer.eos_token_id]}
        row["rejected_weights"] = [(number + t) % 5 / 4 for t in range(len(row["rejected_ids"]))]
        rows.append(row)
    return rows


def stock(folder: Path) -> Any:
    """trl's trainer, which tokenizes the text."""
    from trl import DPOTrainer

    return DPOTrainer(**parts(folder))


def ours(folder: Path) -> Any:
    """cDPO over ids with weights."""
    from ctm_train.cdpo import CDPOTrainer

    return CDPOTrainer(**parts(folder))


def parts(folder: Path) -> dict[str, Any]:
    """What both trainers are made of."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig

    from ctm_eval.pocket import MODEL_DIR

    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32)
    return {
        "model": model,
        "ref_model": copy.deepcopy(model),
        "args": DPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=BATCH,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            disable_tqdm=True,
        ),
        "train_dataset": Dataset.from_list(pairs()),
        "processing_class": AutoTokenizer.from_pretrained(str(MODEL_DIR)),
    }


def step_of(trainer: Any) -> Any:
    """One training step of a trainer on its first batch, as a function."""
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1  # what `train` would have set
    batch = trainer.data_collator(list(trainer.train_dataset))
    trainer.model.train()

    def step() -> None:
        trainer.training_step(trainer.model, dict(batch))
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()

    return step


def reset_peak() -> int:
    """Gives back what is free and forgets the peak (Linux); what is held now, in bytes."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most memory that the process held since `reset_peak`, in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    main()
