"""A task that a small real model can be taught: pocket's problems of two steps, asked in GSM8K's form
without a chat or worked examples; and the model, fine-tuned until it solves a third to two thirds of new
ones.
"""

import json
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from grid import Lines

SMOLLM2 = "build/smollm2-135m-instruct"  # `make real-model`
STEPS, TOKENS = 2, 96  # of a problem; at most, of a solution
TAUGHT = 1200  # problems of the split `train` that the model is fine-tuned on


def problems(split: str, count: int, first: int = 0) -> Iterator[dict[str, str]]:
    """`count` problems from the first-th on: question and answer, and the exercise with its solution."""
    from ctm_eval.pocket.generator import problems
    from ctm_eval.prompts import exercise

    of_two = (problem for problem in problems(split, 1 << 30) if problem.level == STEPS)
    for problem in islice(of_two, first, first + count):
        yield {
            "question": problem.question,
            "answer": f"#### {problem.answer}",
            "prompt": exercise(problem.question),
            "completion": f" {problem.solution}",
        }


def asked(folder: Path, split: str, count: int, first: int = 0) -> dict[str, Any]:
    """Options of `ctm build-dataset` that ask for these problems; their file is in the folder."""
    data = folder / f"{split}-{first}-{count}.jsonl"
    write(data, problems(split, count, first), "question", "answer")
    return {"benchmark": "gsm8k", "data_file": data, "chat": False, "few_shot": 0}


def fine_tuned(folder: Path, model: str, rows: int) -> str:
    """The folder of `model`, taught `rows` problems; it is made, or gone on with where it was stopped."""
    from ctm_data.train import train
    from ctm_train.settings import Settings

    data, trained = folder / "training.jsonl", folder / "model"
    write(data, problems("train", rows), "prompt", "completion")
    train(
        "sft",
        data,
        trained,
        model=model,
        lora=True,
        merge=True,
        learning_rate=1e-3,
        batch_size=8,
        lora_r=32,
        lora_targets=Settings.lora_targets,
        bf16=False,
        gradient_checkpointing=False,
        progress=Lines(),
    )
    for checkpoint in trained.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return str(trained)


def write(path: Path, rows: Iterator[dict[str, str]], *columns: str) -> None:
    """Writes these columns of the rows, whole or not at all; several processes may, at once."""
    lines = [json.dumps({name: row[name] for name in columns}) for row in rows]
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text("\n".join(lines) + "\n")
    partial.rename(path)
